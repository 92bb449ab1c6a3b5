"""Tensors for writers: given as they are, or made only when their turn to be written comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from tallow._native import expect_values
from tallow.errors import ArgumentError, DTypeError, ShapeError
from tallow.formats.writing import tensor_bytes
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.formats.mapping import Stored
    from tallow.tensor import Tensor


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor that is made when its turn to be written comes, so that only one is held at a time.

    `dtype` is a name of the dtype table, or of the format's own types where a writer knows more;
    `shape` is row-major as in PyTorch; `make` gives a Tensor of exactly these, or the bytes of one
    as they stand in a file. `stored` is, for `u8`, the safetensors dtype and shape of the bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor | bytes | bytearray | memoryview]
    stored: Stored | None = None


Tensors: TypeAlias = "Mapping[str, Tensor | LazyTensor]"


def described(tensor: Tensor | LazyTensor) -> tuple[str, tuple[int, ...]]:
    """The name of the dtype, and the shape.

    Raises:
        ArgumentError: no tensor; a dict in a dict is not what most formats hold.
        DeviceError: it has no values, or they are not in the CPU's memory.
    """
    dtype = getattr(tensor, "dtype", None)
    if dtype is None:
        got = f"a {type(tensor).__name__} (only a .pt file keeps nested objects)"
        raise ArgumentError(f"save: expected a tensor, got {got}")
    if (array := getattr(tensor, "_array", None)) is not None:
        expect_values(array, "save")  # before a file is touched
    return (dtype if isinstance(dtype, str) else dtype.name), tuple(tensor.shape)


def written(where: str, tensor: Tensor | LazyTensor, nbytes: int) -> Iterator[memoryview]:
    """The bytes of a tensor in pieces, as `tensor_bytes`; a lazy one is made and checked here.

    Raises:
        DTypeError: a lazy tensor turns out to have another dtype than it said.
        ShapeError: or another shape, or number of bytes.
    """
    if not isinstance(tensor, LazyTensor):
        return tensor_bytes(tensor)
    made = tensor.make()
    if isinstance(made, bytes | bytearray | memoryview):
        view = memoryview(made).cast("B")
        if len(view) != nbytes:
            raise ShapeError(f"{where}: expected {nbytes} bytes, got {len(view)}")
        return iter((view,))
    if made.dtype.name != tensor.dtype:
        raise DTypeError(f"{where}: expected {tensor.dtype}, got {made.dtype.name}")
    if tuple(made.shape) != tuple(tensor.shape):
        raise ShapeError(f"{where}: expected shape {tensor.shape}, got {made.shape}")
    return tensor_bytes(made)
