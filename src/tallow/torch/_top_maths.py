"""Mathematics that stands at PyTorch's root only."""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.factories import full
from tallow.ops.shape import axis_of
from tallow.tensor import Tensor


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """`trapezoid`, by its older name."""
    return ops.trapezoid(y, x, dim=dim) if x is not None else ops.trapezoid(y, dx=dx, dim=dim)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of matrices, in the cheapest order."""
    from tallow import linalg

    made = linalg.multi_dot(matrices) if len(matrices) > 1 else matrices[0]
    return made if out is None else out.resize_(made.shape).copy_(made)


def _axes(count: int) -> list[int]:
    return [*range(count)]


def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Differences of second order along each axis (or `dim`), at the edges of `edge_order`."""
    axes = _axes(input.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    spacing = 1 if spacing is None else spacing
    places = {axis_of(axis, input.ndim, gradient) for axis in axes}
    expect(len(places) == len(axes), gradient, "each axis once", axes, ArgumentError)
    one = isinstance(spacing, (int, float)) or (isinstance(spacing, Tensor) and not spacing.ndim)
    steps = [spacing] * len(axes) if one else list(spacing)
    expect(len(steps) == len(axes), gradient, f"{len(axes)} spacings", len(steps), ArgumentError)
    return tuple(
        _slope(input, axis % input.ndim, step, edge_order)
        for axis, step in zip(axes, steps, strict=True)
    )


def _slope(x: Tensor, axis: int, step: Any, order: int) -> Tensor:
    n = x.shape[axis]
    expect(n > order, gradient, f"more than {order} elements along axis {axis}", n, ShapeError)

    def at(i: int) -> Tensor:
        return x.narrow(axis, i % n, 1)

    if isinstance(step, Tensor) and step.ndim:
        h = step[1:] - step[:-1]
        h = h.to(x.dtype) if x.dtype.kind in "fc" else h
        shape = [1] * x.ndim
        shape[axis] = -1
        a, b = h[:-1].reshape(shape), h[1:].reshape(shape)
    else:
        h = full((n - 1,), float(step), x.dtype if x.dtype.kind in "fc" else None)
        a = b = h[0]
    left, right = x.narrow(axis, 0, n - 2), x.narrow(axis, 2, n - 2)
    middle = x.narrow(axis, 1, n - 2)
    inner = right * (a / (b * (a + b))) - left * (b / (a * (a + b))) + middle * ((b - a) / (a * b))
    if order == 1:
        first = (at(1) - at(0)) / h[0]
        last = (at(-1) - at(-2)) / h[-1]
    else:
        p, q = h[0], h[1]
        first = at(0) * (-(2 * p + q) / (p * (p + q))) + at(1) * ((p + q) / (p * q))
        first = first - at(2) * (p / (q * (p + q)))
        p, q = h[-2], h[-1]
        last = at(-3) * (q / (p * (p + q))) - at(-2) * ((p + q) / (p * q))
        last = last + at(-1) * ((2 * q + p) / (q * (p + q)))
    return ops.cat([first, inner, last], axis)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """The factors of a matrix and the exchanges of rows, counted from 1."""
    return A.lu(pivot, get_infos)


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> Any:
    """The q largest singular values and vectors, by random projections (Halko et al. 2009)."""
    from tallow import linalg

    rank = min(6, *A.shape[-2:]) if q is None else q
    B = A if M is None else A - M
    at = B.mH
    start = ops.randn(B.shape[-1], rank).to(B.dtype)
    Q = linalg.qr(B @ start)[0]
    for _ in range(niter):
        Q = linalg.qr(at @ Q)[0]
        Q = linalg.qr(B @ Q)[0]
    U, S, Vh = linalg.svd(Q.mH @ B, full_matrices=False)
    return Q @ U, S, Vh.mH


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """The principal directions: `svd_lowrank` of the rows less their mean."""
    rank = min(6, *A.shape[-2:]) if q is None else q
    given = A - A.mean(-2, keepdim=True) if center else A
    return svd_lowrank(given, rank, niter)


# Of a run: the method of its elements, and the op that takes the initial value in.
_SEGMENT = {
    "sum": ("sum", "add"), "mean": ("mean", ""), "max": ("amax", "maximum"),
    "min": ("amin", "minimum"), "prod": ("prod", "mul"),
}  # fmt: skip


def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, offsets: Tensor | None = None,
    axis: int = 0, unsafe: bool = False, initial: float | None = None,
) -> Tensor:  # fmt: skip
    """Sum, mean, max, min or prod of runs of rows; an empty one gives `initial`."""
    kinds = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}
    expect(reduce in kinds, segment_reduce, f"one of {[*kinds]}", reduce, ArgumentError)
    expect(axis == 0, segment_reduce, "axis 0", axis, ArgumentError)
    if lengths is None:
        expect(offsets is not None, segment_reduce, "lengths or offsets", None, ArgumentError)
        assert offsets is not None
        lengths = offsets[1:] - offsets[:-1]
    rows, at = [], 0
    empty = kinds[reduce] if initial is None else initial
    for n in lengths.tolist():
        part = data[at : at + n]
        at += n
        if not n:
            rows.append(full(data.shape[1:], empty, data.dtype))
            continue
        made = getattr(part, _SEGMENT[reduce][0])(0)
        if initial is not None and reduce != "mean":
            made = getattr(ops, _SEGMENT[reduce][1])(made, full((), initial, data.dtype))
        rows.append(made)
    return ops.stack(rows)
