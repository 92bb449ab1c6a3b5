"""Write GGUF files, one or a set of shards, tensor after tensor, whole or not at all.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; what llama.cpp demands beyond it
in `src/gguf.cpp` (offsets without gaps, the last tensor padded too, names below 64 bytes); shards
as llama.cpp's `gguf-split` makes them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ArgumentError, DTypeError, ShapeError
from tallow.formats.file_set import replace_files
from tallow.formats.gguf_encode import encode_key, encode_text, encode_value
from tallow.formats.gguf_metadata import Metadata
from tallow.formats.gguf_types import (
    DEFAULT_ALIGNMENT,
    GGML_IDS,
    GGML_TYPES,
    MAGIC,
    MAX_DIMS,
    Typed,
)
from tallow.formats.lazy import LazyTensor, Tensors, described, written
from tallow.formats.mapping import shown
from tallow.formats.writing import path_of, write_to
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor

MAX_TENSOR_NAME: Final = 63  # bytes: GGML_MAX_NAME with the NUL at its end
MAX_SHARDS: Final = 2**16 - 1  # split.count is a u16
_ALIGNMENT_KEY: Final = "general.alignment"
_SPLIT_KEYS: Final = ("split.no", "split.count", "split.tensors.count")


def save_gguf(
    tensors: Tensors,
    path: Target,
    metadata: Mapping[str, Any] | None = None,
    *,
    alignment: int | None = None,
    version: int = 3,
    max_shard_bytes: int | None = None,
) -> list[str]:
    """Write a GGUF file of version 2 or 3, or a set of shards; returns the paths written.

    `path` may be an open binary file, for which no path is returned.

    The metadata is that of an open file or any mapping. Values may be `Typed`; an int is otherwise
    u32 where that holds it, a float f32 (see `gguf_encode.encode_value`). Tensors are written in
    the order of the mapping; one that is a `LazyTensor` is made at its turn and dropped after it.
    `alignment` is by default the one that the metadata states, else 32.

    With `max_shard_bytes`, tensors that together exceed it go to `name-00001-of-0000N.gguf`, …, as
    `gguf-split` does; `split.*` keys of the metadata never pass on. A file appears whole under its
    name or not at all. Of a set all files are written first, then an older set of the same names
    loses its first file, then all are renamed, the first one last: whenever the process dies, the
    set under these names is complete or lacks the file by which it is opened.

    Raises:
        ArgumentError: a name or value that GGUF cannot hold, or too many shards.
        DTypeError: a dtype that ggml lacks, or a lazy tensor that turns out to have another.
        FormatError: a file cannot be written.
        ShapeError: more than 4 axes, or a lazy tensor that turns out to have another shape.
    """
    keys = _typed_keys(metadata or {})
    alignment = _settle_alignment(keys, alignment)
    if version not in (2, 3):
        raise ArgumentError(f"save_gguf: expected version 2 or 3, got {version!r}")
    entries = [_entry(name, tensor) for name, tensor in tensors.items()]
    shards = _shards(entries, alignment, max_shard_bytes)
    if len(shards) == 1:
        return write_to(path, _file(keys, entries, tensors, alignment, version))
    paths = shard_paths(path_of(path), len(shards))
    replace_files(
        (part, _file(_shard_keys(keys, i, shards), shard, tensors, alignment, version))
        for i, (part, shard) in enumerate(zip(paths, shards, strict=True))
    )
    return paths


def shard_paths(path: str, count: int) -> list[str]:
    """The names of `count` shards of `path`, as llama.cpp looks for them."""
    stem = path.removesuffix(".gguf")
    return [f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def _typed_keys(metadata: Mapping[str, Any]) -> dict[str, Any]:
    keys = metadata.typed_items() if isinstance(metadata, Metadata) else dict(metadata)
    for key in _SPLIT_KEYS:
        keys.pop(key, None)
    return keys


def _settle_alignment(keys: dict[str, Any], alignment: int | None) -> int:
    """The alignment that is asked for, entered in the metadata where it is not the usual one."""
    stated = keys.get(_ALIGNMENT_KEY)
    if alignment is None:
        alignment = stated.value if isinstance(stated, Typed) else stated
        alignment = DEFAULT_ALIGNMENT if alignment is None else alignment
    whole = isinstance(alignment, int) and not isinstance(alignment, bool)
    if not (whole and 8 <= alignment < 2**32 and alignment.bit_count() == 1):
        got = shown(alignment)
        raise ArgumentError(f"save_gguf: alignment: expected a power of two from 8 on, got {got}")
    if alignment != DEFAULT_ALIGNMENT or stated is not None:
        keys[_ALIGNMENT_KEY] = Typed("u32", alignment)
    return alignment


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor to be written: its name, the encoded info up to the offset, and its size."""

    name: str
    info: bytes
    nbytes: int


def _entry(name: object, tensor: Tensor | LazyTensor) -> _Entry:
    where = f"save_gguf: tensor {shown(name)}"
    text = encode_text(name, where, "strict")
    if len(text) - 8 > MAX_TENSOR_NAME:
        got = f"{len(text) - 8}"
        raise ArgumentError(
            f"{where}: expected a name of at most {MAX_TENSOR_NAME} bytes, got {got}"
        )
    dtype, shape = described(tensor)
    if dtype not in GGML_IDS:
        raise DTypeError(f"{where}: expected one of {' '.join(GGML_IDS)}, got {dtype}")
    if len(shape) > MAX_DIMS:
        raise ShapeError(f"{where}: expected at most {MAX_DIMS} axes, got shape {shape}")
    number = GGML_IDS[dtype]
    row = GGML_TYPES[number]
    if (shape[-1] if shape else 1) % row.block or min(shape, default=0) < 0:
        wanted = f"rows of a multiple of {row.block} elements of {dtype}"
        raise ShapeError(f"{where}: expected {wanted}, got shape {shape}")
    lengths = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
    nbytes = math.prod(shape) // row.block * row.size
    return _Entry(str(name), text + lengths + struct.pack("<I", number), nbytes)


def _padding(size: int, alignment: int) -> int:
    return -size % alignment


def _shards(entries: list[_Entry], alignment: int, most: int | None) -> list[list[_Entry]]:
    """The entries in runs that together take at most `most` bytes, or are of one tensor."""
    if most is None:
        return [entries]
    if most <= 0:
        raise ArgumentError(f"save_gguf: max_shard_bytes: expected a positive number, got {most}")
    shards: list[list[_Entry]] = [[]]
    filled = 0
    for entry in entries:
        size = entry.nbytes + _padding(entry.nbytes, alignment)
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append(entry)
        filled += size
    if len(shards) > MAX_SHARDS:
        raise ArgumentError(f"save_gguf: expected at most {MAX_SHARDS} shards, got {len(shards)}")
    return shards


def _shard_keys(keys: dict[str, Any], number: int, shards: list[list[_Entry]]) -> dict[str, Any]:
    """All metadata for the first shard, for the others what they cannot be read without."""
    kept = keys if number == 0 else {k: v for k, v in keys.items() if k == _ALIGNMENT_KEY}
    return {
        **kept,
        "split.no": Typed("u16", number),
        "split.count": Typed("u16", len(shards)),
        "split.tensors.count": Typed("i32", sum(map(len, shards))),
    }


def _file(
    keys: dict[str, Any], entries: list[_Entry], tensors: Tensors, alignment: int, version: int
) -> Iterator[bytes | memoryview]:
    """The bytes of one file in pieces; each tensor is looked up when its turn comes."""
    head = [MAGIC, struct.pack("<IQQ", version, len(entries), len(keys))]
    head += [encode_key(key) + encode_value(key, value) for key, value in keys.items()]
    offset = 0
    for entry in entries:
        head += [entry.info, struct.pack("<Q", offset)]
        offset += entry.nbytes + _padding(entry.nbytes, alignment)
    raw = b"".join(head)
    yield raw
    yield bytes(_padding(len(raw), alignment))
    for entry in entries:
        where = f"save_gguf: tensor {shown(entry.name)}"
        yield from written(where, tensors[entry.name], entry.nbytes)
        yield bytes(_padding(entry.nbytes, alignment))
