"""Cutting tensors along axes: what a range of rows or columns is, as a view and in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.dtype import by_name
from tallow.errors import ArgumentError, ShapeError
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.formats.mapping import TensorInfo
    from tallow.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Slice:
    """Elements `start` to `stop` of axis `dim`, which is counted from the front."""

    dim: int
    start: int
    stop: int

    def of(self, tensor: Tensor) -> Tensor:
        """The part of `tensor`, a view that copies nothing."""
        return tensor[(slice(None),) * self.dim + (slice(self.start, self.stop),)]


def grain(info: TensorInfo, dim: int) -> int:
    """How many elements along axis `dim` stay together: a block on the last one, else one."""
    return by_name(info.dtype).block if dim == len(info.shape) - 1 else 1


def axis(where: str, info: TensorInfo, dim: int) -> int:
    """`dim` counted from the front; `ShapeError` when the tensor has no such axis."""
    ndim = len(info.shape)
    if not -ndim <= dim < ndim:
        raise ShapeError(f"{where}: expected an axis of shape {info.shape}, got {dim}")
    return dim % ndim


def range_slice(where: str, info: TensorInfo, dim: int, start: int, stop: int) -> Slice:
    """Elements `start` to `stop` along `dim`.

    Raises:
        ShapeError: outside the axis, or not at borders of blocks.
    """
    dim = axis(where, info, dim)
    length, block = info.shape[dim], grain(info, dim)
    if not 0 <= start <= stop <= length:
        raise ShapeError(f"{where}: expected a range within 0 to {length}, got {start} to {stop}")
    if start % block or stop % block:
        wanted = f"a range of whole blocks of {block} elements of {info.dtype}"
        raise ShapeError(f"{where}: expected {wanted} along axis {dim}, got {start} to {stop}")
    return Slice(dim, start, stop)


def equal_slice(where: str, info: TensorInfo, dim: int, index: int, count: int) -> Slice:
    """Part `index` of `count` equal ones along `dim`.

    Raises:
        ArgumentError: `index` is not one of `count`.
        ShapeError: the axis does not divide, or not at borders of blocks.
    """
    if count < 1 or not 0 <= index < count:
        raise ArgumentError(f"{where}: expected a part from 0 to {count - 1}, got {index}")
    dim = axis(where, info, dim)
    length, block = info.shape[dim], grain(info, dim)
    if length % (count * block):
        whole = f"whole blocks of {block} elements of {info.dtype}" if block > 1 else "elements"
        wanted = f"axis {dim} of {length} to divide into {count} equal parts of {whole}"
        raise ShapeError(f"{where}: expected {wanted} (take_range takes unequal ones)")
    size = length // count
    return Slice(dim, index * size, (index + 1) * size)


def slice_info(info: TensorInfo, slices: Sequence[Slice]) -> TensorInfo:
    """What `info` says of the part that `slices` leave, each applied to what the one before left.

    `offset` is that of the part's first element; its bytes follow each other only when nothing
    before the cut axis is longer than 1.
    """
    if not slices:
        return info
    dtype = by_name(info.dtype)
    lengths, first = list(info.shape), 0
    for part in slices:
        lengths[part.dim] = part.stop - part.start
        first += part.start * math.prod(info.shape[part.dim + 1 :])
    shape = tuple(lengths)
    size = math.prod(shape) // dtype.block * dtype.itemsize
    offset = info.offset + first // dtype.block * dtype.itemsize
    return replace(info, shape=shape, offset=offset, nbytes=size)


def rows_of(info: TensorInfo, slices: Sequence[Slice]) -> tuple[int, int] | None:
    """The bytes of a part relative to its tensor, when they follow each other, else None."""
    part = slice_info(info, slices)
    front = min((part.dim for part in slices), default=0)
    inner = [part for part in slices if part.dim != front]
    if inner or math.prod(part.shape[:front]) > 1:
        return None
    start = part.offset - info.offset
    return start, start + part.nbytes
