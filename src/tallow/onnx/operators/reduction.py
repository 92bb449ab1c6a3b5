"""Reductions: sums, means, extremes, norms, and the places of extremes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tallow import ops
from tallow.factories import full
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

Dims = Sequence[int]
Reduction = Callable[[Tensor, Dims, bool], Tensor]


def _sum(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    return ops.sum(x, dims, keep, dtype=x.dtype)


def _mean(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    if x.dtype.kind == "f":
        return ops.mean(x, dims, keep)
    count = max(math.prod(x.shape[axis] for axis in dims), 1)  # 0 of nothing, as onnxruntime
    return ops.div(_sum(x, dims, keep), count, rounding_mode="trunc")


def _prod(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    return ops.prod(x, dims, keep, dtype=x.dtype)


def _extreme(op: Any, sign: int) -> Reduction:
    def reduce(x: Tensor, dims: Dims, keep: bool) -> Tensor:
        if all(x.shape[axis] for axis in dims):
            found: Tensor = op(x, dims, keep)
            return found
        shape = [n if i not in dims else 1 for i, n in enumerate(x.shape) if keep or i not in dims]
        return full(shape, _bound(x, sign), x.dtype)

    return reduce


def _bound(x: Tensor, sign: int) -> float:
    """What the largest (sign -1) or smallest element of nothing is."""
    if x.dtype.kind == "f":
        return sign * math.inf
    if x.dtype.kind == "i":
        half = 1 << (8 * x.dtype.itemsize - 1)
        return -half if sign < 0 else half - 1
    top = 1 if x.dtype.kind == "b" else (1 << 8 * x.dtype.itemsize) - 1
    return 0 if sign < 0 else top


def _l1(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    return _sum(ops.abs(x), dims, keep)


def _sum_square(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    return _sum(ops.square(x), dims, keep)


def _l2(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    if x.dtype.kind == "f":
        if x.dtype.itemsize < 4:  # whose squares are soon beyond them
            return ops.p_norm(x, 2.0, dims, keep)
        return ops.sqrt(_sum_square(x, dims, keep))
    return ops.sqrt(_sum_square(x, dims, keep).to("f64")).to(x.dtype)


def _log_sum(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    found = _sum(x, dims, keep)
    return ops.log(found if x.dtype.kind == "f" else found.to("f64")).to(x.dtype)


def _log_sum_exp(x: Tensor, dims: Dims, keep: bool) -> Tensor:
    return ops.logsumexp(x if x.dtype.kind == "f" else x.to("f64"), dims, keep).to(x.dtype)


def _reduced(reduce: Reduction, x: Tensor, axes: Any, keep: int, noop: int) -> Tensor:
    """`x` reduced over axes; an empty list means all of them, or with `noop` none."""
    dims = [axes] if isinstance(axes, int) else axes
    if not dims:
        if noop or not x.ndim:  # each element is a set of its own
            return reduce(x.unsqueeze(-1), (x.ndim,), False)
        dims = range(x.ndim)
    return reduce(x, _from_front(dims, x.ndim), bool(keep))


def _from_front(dims: Sequence[int], ndim: int) -> Dims:
    from tallow.ops.shape import axes_of

    return axes_of(tuple(dims), ndim, "axes")


def _register(name: str, reduce: Reduction, since: int) -> None:
    """Rows of a reduction whose axes are an attribute, and from opset `since` on an input."""

    @operator(name, until=since - 1)
    def by_attribute(x: Tensor, *, axes: Any = None, keepdims: int = 1) -> Tensor:
        return _reduced(reduce, x, axes, keepdims, 0)

    @operator(name, since=since, reads=("axes",))
    def by_input(
        x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        return _reduced(reduce, x, axes, keepdims, noop_with_empty_axes)


for _name, _function, _since in (
    ("ReduceSum", _sum, 13), ("ReduceMean", _mean, 18), ("ReduceProd", _prod, 18),
    ("ReduceMax", _extreme(ops.amax, -1), 18), ("ReduceMin", _extreme(ops.amin, 1), 18),
    ("ReduceL1", _l1, 18), ("ReduceL2", _l2, 18), ("ReduceSumSquare", _sum_square, 18),
    ("ReduceLogSum", _log_sum, 18), ("ReduceLogSumExp", _log_sum_exp, 18),
):  # fmt: skip
    _register(_name, _function, _since)


def _place(op: Any, x: Tensor, axis: int, keep: int, last: int) -> Tensor:
    if not last:
        found: Tensor = op(x, axis, bool(keep))
        return found
    return x.shape[axis] - 1 - op(ops.flip(x, axis), axis, bool(keep))  # type: ignore[no-any-return]


@operator("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Where the largest element along an axis is."""
    return _place(ops.argmax, x, axis, keepdims, select_last_index)


@operator("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Where the smallest element along an axis is."""
    return _place(ops.argmin, x, axis, keepdims, select_last_index)
