"""Order: sort, topk, the k-th value, median, mode, quantiles.

NaN counts as the largest value. Every sort is stable.
"""

from __future__ import annotations

import math
from typing import Any

from ..dtype import i64
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..factories import tensor
from ..registry import op
from ..tensor import Tensor, has_values, unwrap_tensor
from .extreme import ValuesIndices
from .shape import axis_of


def _plain(x: Tensor, where: object) -> None:
    unwrap_tensor(x, where)
    dtype = x.dtype
    if dtype.kind not in "buif" or (dtype.kind == "f" and dtype.itemsize == 1):
        expect(False, where, "a plain dtype", dtype.name, NoKernelError)


def _lines(out: Any, x: Tensor, dim: int) -> list[Tensor]:
    """Values, indices and x as the kernels of lines take them: the axis is the last one."""
    ndim = x.ndim
    if not ndim:
        return [a.reshape(1) for a in (*out, x)]
    if dim in (-1, ndim - 1):
        return [*out, x]
    return [a.transpose(dim, -1) for a in (*out, x)]


def _results(x: Tensor, dim: int, size: int, keepdim: bool = True) -> list[Any]:
    """Values and indices, whose axis has the length `size`."""
    shape: tuple[int, ...] = x.shape
    if shape:
        axis = dim % len(shape)
        shape = (*shape[:axis], *((size,) if keepdim else ()), *shape[axis + 1 :])
    return [(shape, x.dtype), (shape, i64)]


def _scattered(g: Tensor, x: Any, dim: int, indices: Tensor) -> Tensor:
    """The gradient of picking `indices` along `dim`."""
    return g.new_zeros(x.shape).scatter(dim, indices, g)


@op(result=ValuesIndices, cached=True)
def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements along `dim` in order, and where they were (i64); equal ones keep their order."""
    ...


@sort.check
def _(x: Tensor, dim: int, descending: bool, stable: bool) -> None:
    _plain(x, sort)
    axis_of(dim, x.ndim, sort)


@sort.out
def _(x: Tensor, dim: int, descending: bool, stable: bool) -> Any:
    return [(x.shape, x.dtype), (x.shape, i64)]


@sort.kernel("sort")
def _(out: Any, x: Tensor, dim: int, descending: bool, stable: bool) -> tuple[Any, ...]:
    return (*_lines(out, x, dim), int(descending))


@sort.grad
def _(g: Any, _x: Tensor, dim: int, _descending: bool, _stable: bool, indices: Any) -> Tensor:
    return _scattered(g[0], _x, dim, indices)


@op(cached=True)
def argsort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The positions (i64) that `sort` gives."""
    found: Tensor = sort(x.detach(), dim, descending).indices
    return found


@op(cached=True)
def msort(x: Tensor) -> Tensor:
    """The elements along the first axis in order."""
    out: Tensor = sort(x, 0).values
    return out


@op(result=ValuesIndices, cached=True)
def topk(
    x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """The `k` largest (or smallest) elements along `dim`, the best first, and their positions.

    Of equal elements the one in front comes first.
    """
    ...


@topk.check
def _(x: Tensor, k: int, dim: int, largest: bool, sorted: bool) -> None:
    _plain(x, topk)
    axis = axis_of(dim, x.ndim, topk)
    size = x.shape[axis] if x.ndim else 1
    if not 0 <= int(k) <= size:
        expect(False, topk, f"k in [0, {size}]", int(k))


@topk.out
def _(x: Tensor, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    return _results(x, dim, int(k))


@topk.kernel("topk")
def _(out: Any, x: Tensor, k: int, dim: int, largest: bool, sorted: bool) -> tuple[Any, ...]:
    return (*_lines(out, x, dim), int(k) if x.ndim else 1, int(largest))


@topk.grad
def _(g: Any, _x: Tensor, _k: int, dim: int, _largest: bool, _sorted: bool, indices: Any) -> Tensor:
    return _scattered(g[0], _x, dim, indices)


def _check_statistic(where: object, x: Tensor, dim: int) -> None:
    _plain(x, where)
    axis = axis_of(dim, x.ndim, where)
    if x.ndim:
        wanted = "at least one element along the axis"
        expect(x.shape[axis] > 0, where, wanted, x.shape, IndexRangeError)


def _statistic(out: Any, x: Tensor, which: int, dim: int, keepdim: bool) -> tuple[Any, ...]:
    """Arguments of the kernel: outputs whose last axis has length 1."""
    if x.ndim and not keepdim:
        out = [a.unsqueeze(dim) for a in out]
    return (*_lines(out, x, dim), which)


def _picked(g: Any, x: Any, dim: int, keepdim: bool, places: Any) -> Tensor:
    share = g[0]
    if len(x.shape) and not keepdim:
        places, share = places.unsqueeze(dim), share.unsqueeze(dim)
    return _scattered(share, x, dim, places)


@op(result=ValuesIndices, cached=True)
def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The `k`-th smallest element (from 1) along `dim`, and its position (i64)."""
    ...


@kthvalue.check
def _(x: Tensor, k: int, dim: int, keepdim: bool) -> None:
    axis = axis_of(dim, x.ndim, kthvalue)
    size = x.shape[axis] if x.ndim else 1
    expect(1 <= k <= size, kthvalue, f"k in [1, {size}]", k, ArgumentError)
    _check_statistic(kthvalue, x, dim)


@kthvalue.out
def _(x: Tensor, k: int, dim: int, keepdim: bool) -> Any:
    return _results(x, dim, 1, keepdim)


@kthvalue.kernel("order_statistic")
def _(out: Any, x: Tensor, k: int, dim: int, keepdim: bool) -> tuple[Any, ...]:
    return _statistic(out, x, k - 1, dim, keepdim)


@kthvalue.grad
def _(g: Any, _x: Tensor, _k: int, dim: int, keepdim: bool, indices: Any) -> Tensor:
    return _picked(g, _x, dim, keepdim, indices)


@op(result=ValuesIndices)
def median_of(input: Tensor, which: int, dim: int, keepdim: bool) -> ValuesIndices:
    """The order statistic `which` along `dim`: -1 median, -2 nanmedian, -3 mode; its position."""
    ...


@median_of.check
def _(x: Tensor, which: int, dim: int, keepdim: bool) -> None:
    names = {-1: "median", -2: "nanmedian", -3: "mode"}
    expect(which in names, "median_of", "-1, -2 or -3", which, ArgumentError)
    _check_statistic(names[which], x, dim)


@median_of.out
def _(x: Tensor, which: int, dim: int, keepdim: bool) -> Any:
    return _results(x, dim, 1, keepdim)


@median_of.kernel("order_statistic")
def _(out: Any, x: Tensor, which: int, dim: int, keepdim: bool) -> tuple[Any, ...]:
    return _statistic(out, x, which, dim, keepdim)


@median_of.grad
def _(g: Any, _input: Tensor, _which: int, dim: int, keepdim: bool, indices: Any) -> Tensor:
    return _picked(g, _input, dim, keepdim, indices)


def _median(x: Tensor, which: int, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return median_of(x, which, dim, keepdim)
    if not x.numel():
        return x.reshape(-1).to(x.dtype).sum() * math.nan
    found = median_of(x.detach().reshape(-1), which, 0, False).values
    if not x.requires_grad:
        return found
    # All elements that equal it share its gradient, as in torch.
    same = x.detach().eq(found).logical_or(x.detach().isnan().logical_and(found.isnan()))
    return x.masked_select(same).amax()


@op(cached=True)
def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The (lower) median of all elements, or (values, indices) along `dim`; NaN if there is one."""
    return _median(x, -1, dim, keepdim)


@op
def nanmedian(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of what is not NaN."""
    return _median(x, -2, dim, keepdim)


@op
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent value along `dim` (the smallest such), and its last position (i64)."""
    out: ValuesIndices = median_of(x, -3, dim, keepdim)
    return out


def _quantile_shares(x: Tensor, q: Any, interpolation: str, where: object) -> Tensor:
    """The fractions `q` as a tensor; refuses what a quantile cannot be made of."""
    unwrap_tensor(x, where)
    expect(x.dtype.name in ("f32", "f64"), where, "f32 or f64", x.dtype.name, NoKernelError)
    known = ("linear", "lower", "higher", "midpoint", "nearest")
    expect(
        interpolation in known, where, f"one of {', '.join(known)}", interpolation, ArgumentError
    )
    shares = q if isinstance(q, Tensor) else tensor(q, dtype=x.dtype, device=x.device)
    expect(shares.dtype is x.dtype, where, f"q of {x.dtype.name}", shares.dtype.name, NoKernelError)
    expect(shares.ndim <= 1, where, "q as a number or vector", shares.shape)
    if has_values(shares):
        inside = shares.detach().ge(0).logical_and(shares.detach().le(1)).all()
        expect(bool(inside), where, "q in [0, 1]", "others", ArgumentError)
    expect(x.numel() > 0, where, "at least one element", x.shape)
    return shares


def _interpolated(ordered: Tensor, at: Tensor, interpolation: str) -> Tensor:
    """What lies at the (fractional) positions `at` of the last axis."""
    if interpolation == "lower":
        at = at.floor()
    elif interpolation == "higher":
        at = at.ceil()
    elif interpolation == "nearest":
        at = at.round()
    low = at.detach().floor()
    below = ordered.take_along_dim(low.to(i64), -1)
    if interpolation not in ("linear", "midpoint"):
        return below
    above = ordered.take_along_dim(at.detach().ceil().to(i64), -1)
    weight = at - low if interpolation == "linear" else 0.5
    step = above - below
    # An infinite end is counted from the other one.
    far = below.detach().isinf()
    out = _where(far, above - step * (1 - weight), below + step * weight)
    # Two equal infinities have no difference.
    alike = below.detach().eq(above.detach()).logical_and(below.detach().isinf())
    return _where(alike, below, out)


def _quantile(
    x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, where: object, skip: bool
) -> Tensor:
    shares = _quantile_shares(x, q, interpolation, where)
    ndim = x.ndim
    axis = axis_of(0 if dim is None else dim, x.ndim, where)
    line = x.reshape(-1) if dim is None or not ndim else x.transpose(axis, -1)
    ordered = sort(line, -1).values  # (…, n), NaN behind
    n = ordered.shape[-1]
    nan = ordered.isnan()
    if skip:  # per line: as many as are not NaN
        last = (nan.logical_not().sum(-1, keepdim=True) - 1).clamp(0, None).to(x.dtype)
    else:
        last = x.new_full((), float(n - 1))
    at = (shares.reshape(-1) * last).expand((*ordered.shape[:-1], shares.numel()))
    if not skip:  # a NaN makes the whole line NaN
        at = at.masked_fill(nan.any(-1, keepdim=True), float(n - 1))
    out = _interpolated(ordered, at, interpolation)
    # (…, k) with the axis last: bring it back, then k in front, as torch has it.
    if dim is None or not ndim:
        out = out.reshape((-1,) + (1,) * ndim) if keepdim else out
    else:
        out = out.unsqueeze(0).transpose(0, -1).squeeze(-1)  # (k, … without the axis)
        # the last axis of x stood at `axis` meanwhile
        out = out.unsqueeze(-1).transpose(axis + 1, -1)
        if not keepdim:
            out = out.squeeze(axis + 1)
    return out if shares.ndim else out.squeeze(0)


def _where(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    from . import where

    out: Tensor = where(mask, a, b)
    return out


@op
def quantile(
    x: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The `q` quantiles (a number or vector in [0, 1]) of all elements, or along `dim`.

    Between two elements: linear, lower, higher, midpoint or nearest. A vector `q` gives its axis in
    front. A NaN makes the result NaN.
    """
    return _quantile(x, q, dim, keepdim, interpolation, quantile, False)


@op
def nanquantile(
    x: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """`quantile` of what is not NaN."""
    return _quantile(x, q, dim, keepdim, interpolation, nanquantile, True)
