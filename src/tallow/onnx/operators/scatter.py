"""Writing by indices: ScatterElements, ScatterND, TensorScatter."""

from __future__ import annotations

import math
from typing import Final

from tallow import ops
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.indexing import from_front, tuple_rows
from tallow.onnx.operators.moving import axis_in, moves
from tallow.onnx.operators.table import operator
from tallow.ops.scatter import MAX, MIN, MULTIPLY
from tallow.tensor import Tensor

_MODES: Final = {"mul": MULTIPLY, "max": MAX, "min": MIN}


def _scattered(x: Tensor, axis: int, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return ops.scatter_values(x, axis, indices, updates)
    if reduction == "add":
        return ops.scatter_add(x, axis, indices, updates)
    return ops.scatter_combine(x, axis, indices, updates, _MODES[reduction])


def _check_reduction(where: str, reduction: str) -> None:
    known = ("none", "add", *_MODES)
    expect(
        reduction in known, where, f"a reduction of {', '.join(known)}", reduction, ArgumentError
    )


@operator("Scatter", since=9, until=10, host=True)
@operator("ScatterElements", since=11, until=15, host=True)
@moves(0, 2)
def scatter_elements_11(data: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0) -> Tensor:
    """An element written for each index, along an axis; of equal ones the last."""
    return scatter_elements(data, indices, updates, axis=axis)


@operator("ScatterElements", since=16, host=True)
@moves(0, 2)
def scatter_elements(
    data: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    """An element written, added, … for each index, along an axis."""
    _check_reduction("ScatterElements", reduction)
    at = axis_in(axis, data.ndim, "ScatterElements")
    fits = updates.shape == indices.shape
    expect(fits, "ScatterElements", f"updates of shape {indices.shape}", updates.shape)
    return _scattered(data, at, from_front(indices, data.shape[at]), updates, reduction)


@operator("ScatterND", since=11, until=15, host=True)
@moves(0, 2)
def scatter_nd_11(data: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Slices written at tuples of indices; of equal ones the last."""
    return scatter_nd(data, indices, updates)


@operator("ScatterND", since=16, host=True)
@moves(0, 2)
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none"
) -> Tensor:
    """Slices written, added, … at tuples of indices, which are the last axis."""
    _check_reduction("ScatterND", reduction)
    expect(indices.ndim > 0, "ScatterND", "indices with axes", indices.shape)
    shape, at = data.shape, indices.shape
    k = at[-1]
    expect(1 <= k <= len(shape), "ScatterND", f"tuples of 1 to {len(shape)} indices", k)
    wanted = (*at[:-1], *shape[k:])
    expect(updates.shape == wanted, "ScatterND", f"updates of shape {wanted}", updates.shape)
    rows = tuple_rows(indices, 0)
    values = updates.reshape((rows.shape[1], *shape[k:]))
    if reduction in ("none", "add"):
        return ops.put_positions(data, rows, values, reduction == "add")
    # The op that reduces takes an index of one axis.
    places = ops.arange(math.prod(shape[:k]), dtype=i64, device=data.device).reshape(shape[:k])
    single = ops.take_positions(places, rows)
    flat, size = data.reshape(math.prod(shape[:k]), -1), math.prod(shape[k:])
    spread = single.unsqueeze(1).expand(rows.shape[1], size)
    given = values.reshape(rows.shape[1], size)
    return _scattered(flat, 0, spread, given, reduction).reshape(shape)


@operator("TensorScatter", since=24, host=True)
@moves(0, 1)
def tensor_scatter(
    past_cache: Tensor, update: Tensor, write_indices: Tensor | None = None, *, axis: int = -2,
    mode: str = "linear",
) -> Tensor:  # fmt: skip
    """Steps written into each sequence of a batch, from a place of its own on."""
    expect(
        mode in ("linear", "circular"), "TensorScatter", "linear or circular", mode, ArgumentError
    )
    shape, given = past_cache.shape, update.shape
    at = axis_in(axis, len(shape), "TensorScatter")
    expect(at > 0, "TensorScatter", "an axis behind the batch", axis)
    fits = len(given) == len(shape) and all(
        n <= m if i == at else n == m for i, (n, m) in enumerate(zip(given, shape, strict=True))
    )
    expect(fits, "TensorScatter", f"an update inside {shape} along axis {at}", given)
    steps = ops.arange(given[at], dtype=i64, device=past_cache.device)
    places = steps.unsqueeze(0)
    if write_indices is not None:
        batch = write_indices.shape == (shape[0],)
        expect(batch, "TensorScatter", f"{shape[0]} write_indices", write_indices.shape)
        places = steps + write_indices.unsqueeze(1)
    if mode == "circular":
        places = ops.remainder(places, shape[at])
    beside = [given[i] if i == at else places.shape[0] if i == 0 else 1 for i in range(len(given))]
    return ops.scatter_values(past_cache, at, places.reshape(beside).expand(given), update)
