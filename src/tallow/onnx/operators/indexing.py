"""Reading by indices: Gather and its kin, Compress, NonZero, TopK, ReverseSequence."""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.dtype import i64
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.onnx.operators.moving import axis_in, moves, on_host, whole
from tallow.onnx.operators.sequence_lengths import sequence_lengths
from tallow.onnx.operators.table import operator
from tallow.ops.mask import mask_counts, positions_of
from tallow.tensor import Tensor


@operator("Gather", since=1, host=True)
@moves(0)
def gather(data: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Positions of an axis; the axes of the indices stand in its place."""
    at, shape = axis_in(axis, data.ndim, "Gather"), data.shape
    found = ops.take_positions(data, indices.reshape(-1), at)
    if indices.ndim == 1:
        return found
    return found.reshape((*shape[:at], *indices.shape, *shape[at + 1 :]))


def from_front(indices: Tensor, length: int) -> Tensor:
    """Negative indices counted from the front; ops with an index for each element want them so."""
    return ops.where(indices.lt(0), indices + length, indices)


@operator("GatherElements", since=11, host=True)
@moves(0)
def gather_elements(data: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """An element for each index, along an axis."""
    at = axis_in(axis, data.ndim, "GatherElements")
    return ops.gather(data, at, from_front(indices, data.shape[at]))


@operator("GatherND", since=11, host=True)
@moves(0)
def gather_nd(data: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """Slices at tuples of indices, which are the last axis, in each of the batch's parts."""
    shape, at = data.shape, indices.shape
    good = 0 <= batch_dims < min(len(shape), len(at)) and shape[:batch_dims] == at[:batch_dims]
    expect(good, "GatherND", f"{batch_dims} batch axes in common", (shape, at))
    k = at[-1]
    good = 1 <= k <= len(shape) - batch_dims
    expect(good, "GatherND", f"tuples of 1 to {len(shape) - batch_dims} indices", k)
    rows = tuple_rows(indices, batch_dims)
    found = ops.take_positions(data, rows)
    return found.reshape((*at[:-1], *shape[batch_dims + k :]))


def tuple_rows(indices: Tensor, batch_dims: int) -> Tensor:
    """Tuples of indices as a row for each axis; those of the batch's axes count up."""
    shape = indices.shape
    rows = indices.reshape(math.prod(shape[:-1]), shape[-1]).permute(1, 0)
    if batch_dims == 0:
        return rows
    ahead = []
    for axis in range(batch_dims):
        counted = ops.arange(shape[axis], dtype=i64, device=indices.device)
        beside = [shape[axis] if i == axis else 1 for i in range(len(shape) - 1)]
        ahead.append(counted.reshape(beside).expand(shape[:-1]).reshape(1, -1))
    return ops.cat([*ahead, rows])


@operator("ReverseSequence", since=10, host=True)
@moves(0)
def reverse_sequence(
    x: Tensor, sequence_lens: Tensor, *, batch_axis: int = 1, time_axis: int = 0
) -> Tensor:
    """The first steps of each sequence backwards, as many as its length."""
    batch, time = axis_in(batch_axis, x.ndim, "ReverseSequence"), axis_in(time_axis, x.ndim, "")
    good = {batch, time} == {0, 1}
    expect(good, "ReverseSequence", "batch_axis and time_axis 0 and 1", (batch, time))
    length, count = x.shape[time], x.shape[batch]
    lengths = sequence_lengths("ReverseSequence", sequence_lens, length, count).unsqueeze(time)
    steps = ops.arange(length, dtype=i64, device=x.device).unsqueeze(batch)
    places = ops.where(steps.lt(lengths), lengths - 1 - steps, steps)
    beside = [*places.shape, *[1] * (x.ndim - 2)]
    return ops.gather(x, time, places.reshape(beside).expand(x.shape))


@operator("Compress", since=9, host=True)
@moves(0)
def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    """The positions of an axis (of the flattened tensor without one) where a condition holds."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    at = axis_in(axis, x.ndim, "Compress")
    expect(condition.ndim == 1, "Compress", "a condition of one axis", condition.shape)
    known = condition.narrow(0, 0, min(condition.shape[0], x.shape[at]))
    return ops.take_positions(x, _places(known).reshape(-1), at)


def _places(mask: Tensor) -> Tensor:
    flat = mask.contiguous()
    return positions_of(flat, mask_counts(flat))


@operator("NonZero", since=9, host=True)
def nonzero(x: Any) -> Tensor:
    """Where elements are not zero: a row of positions for each axis."""
    if on_host(x):
        from tallow.borrowing import of_numpy

        x = of_numpy((x != ("" if x.dtype.kind == "O" else 0)).astype(bool))
    return _places(x if x.dtype.kind == "b" else x.ne(0))


@operator("TopK", since=10, reads=("k",))
def top_k(
    x: Tensor, k: list[int], *, axis: int = -1, largest: int = 1, sorted_: int = 1
) -> tuple[Tensor, Tensor]:
    """The largest or smallest elements along an axis and their places; of equal ones the first."""
    at = axis_in(axis, x.ndim, "TopK")
    given = whole(k)
    good = len(given) == 1 and 0 <= given[0] <= x.shape[at]
    expect(good, "TopK", f"one K in [0, {x.shape[at]}]", given, ArgumentError)
    expect(x.dtype.kind in "iuf", "TopK", "numbers", x.dtype.name, DTypeError)
    found = ops.topk(x, given[0], at, bool(largest), bool(sorted_))
    return found.values, found.indices


@operator("TopK", since=1, until=9)
def top_k_1(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """TopK with k as an attribute."""
    return top_k(x, [k], axis=axis)
