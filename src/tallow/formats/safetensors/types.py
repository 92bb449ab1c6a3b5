"""The dtypes of safetensors: which of ours each one is, and which are only kept as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tallow.formats.mapping import element_count


class StoredType(NamedTuple):
    """A dtype of the file: ours of the same meaning, None where there is none, and its bits."""

    ours: str | None
    bits: int


# In the order of the official package, whose writer puts the last of them first in a file
# (https://github.com/huggingface/safetensors, `safetensors/src/tensor.rs`, 0.8.0).
DTYPES: Final[dict[str, StoredType]] = {
    "BOOL": StoredType("bool", 8),
    "F4": StoredType(None, 4),
    "F6_E2M3": StoredType(None, 6),
    "F6_E3M2": StoredType(None, 6),
    "U8": StoredType("u8", 8),
    "I8": StoredType("i8", 8),
    "F8_E5M2": StoredType("f8e5m2", 8),
    "F8_E4M3": StoredType("f8e4m3", 8),
    "F8_E8M0": StoredType(None, 8),
    "F8_E4M3FNUZ": StoredType(None, 8),
    "F8_E5M2FNUZ": StoredType(None, 8),
    "I16": StoredType("i16", 16),
    "U16": StoredType("u16", 16),
    "F16": StoredType("f16", 16),
    "BF16": StoredType("bf16", 16),
    "I32": StoredType("i32", 32),
    "U32": StoredType("u32", 32),
    "F32": StoredType("f32", 32),
    "C64": StoredType("complex64", 64),
    "F64": StoredType("f64", 64),
    "I64": StoredType("i64", 64),
    "U64": StoredType("u64", 64),
}
NAMES: Final = {row.ours: name for name, row in DTYPES.items() if row.ours}
RANKS: Final = {name: rank for rank, name in enumerate(DTYPES)}

MAX_ELEMENTS: Final = 2**64 - 1


def stored_bytes(dtype: str, shape: Sequence[int]) -> int | None:
    """Bytes of a tensor; None when it has 2^64 elements or more, or ends within a byte."""
    count = element_count(tuple(shape), MAX_ELEMENTS)
    if count is None:
        return None
    size, rest = divmod(count * DTYPES[dtype].bits, 8)
    return None if rest else size


def byte_shape(dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor seen as bytes: the last axis counts bytes instead of elements.

    Where a row ends within a byte there are no rows to speak of: the shape is `(bytes,)`.
    """
    bits = DTYPES[dtype].bits
    if bits == 8 or not shape:
        return shape
    row, rest = divmod(shape[-1] * bits, 8)
    if rest:
        return (stored_bytes(dtype, shape) or 0,)
    return (*shape[:-1], row)
