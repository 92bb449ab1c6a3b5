"""Variances and standard deviations, and sums and means that pass over NaN."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import FLOATS, DType, f32
from ..errors import NoKernelError, expect
from ..registry import op
from ..tensor import Tensor
from .reduce import Dim, axes_of, centred, count, expand_reduced


def _variance_options(
    dim: Any, unbiased: bool | None, correction: float | None
) -> tuple[Dim, float]:
    """The forms of torch: `var(dim, unbiased)`, `var(unbiased)`, `var(dim, correction=…)`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dim, correction


@op(cached=True)
def var(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over the axes `dim`: squared deviations summed, over `n - correction`.

    `correction` is 1, or 0 when `unbiased` is false.
    """
    dim, less = _variance_options(dim, unbiased, correction)
    if x.dtype.kind == "c":
        parts = (part.var(dim, keepdim=keepdim, correction=less) for part in (x.real, x.imag))
        return next(parts) + next(parts)
    total = centred(x, dim).square().sum(dim, keepdim=keepdim)
    return (total / max(count(x, dim) - less, 0)).to(x.dtype)


@var.check
def _(x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None) -> None:
    if x.dtype.kind not in "fc":
        expect(False, var, "a float dtype", x.dtype.name, NoKernelError)


@var.out
def _(x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None) -> Any:
    shape, dtype = x.shape, x.dtype
    axes = axes_of(x, _variance_options(dim, unbiased, correction)[0], var)
    if keepdim:
        made = tuple(1 if i in axes else n for i, n in enumerate(shape))
    else:
        made = tuple(n for i, n in enumerate(shape) if i not in axes)
    return made, f32 if dtype.kind == "c" else dtype


def _is_short(
    x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> bool:
    # Of more elements, sums in vectors take less time than the calls of the reference.
    return x.numel() <= 4096


@var.kernel("var", dtypes=FLOATS, when=_is_short)
def _(
    x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> tuple[Any, ...]:
    dim, less = _variance_options(dim, unbiased, correction)
    return x, sum(1 << axis for axis in axes_of(x, dim, var)), float(less)


@var.grad
def _(
    g: Tensor, x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> Tensor:
    return _variance_gradient(g, x, dim, unbiased, keepdim, correction)


def _variance_gradient(
    g: Tensor, x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> Tensor:
    from . import where

    dim, less = _variance_options(dim, unbiased, correction)
    deviation = centred(x, dim)
    g = expand_reduced(g, x, dim, keepdim)
    freedom = count(x, dim) - less
    if freedom > 0:
        return (g * deviation * (2 / freedom)).to(x.dtype)
    # Over 0, as in torch: what lies at the mean has no slope, the rest an infinite one.
    return (g * where(deviation.eq(0), math.nan, math.inf)).to(x.dtype)


@op(cached=True)
def std(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of `var`; its gradient is 0 where all values are equal."""
    return x.var(dim, unbiased, keepdim, correction=correction).sqrt()


@std.grad
def _(
    g: Tensor, x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None,
    out: Tensor,
) -> Tensor:  # fmt: skip
    from . import where

    still = out.eq(0)
    slope = where(still, 0.0, g / (where(still, 1.0, out) * 2))
    return _variance_gradient(slope, x, dim, unbiased, keepdim, correction)


@op(cached=True)
def var_mean(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(variance, mean) over the axes `dim`."""
    axes = _variance_options(dim, unbiased, correction)[0]
    return x.var(dim, unbiased, keepdim, correction=correction), x.mean(axes, keepdim)


@op(cached=True)
def std_mean(
    x: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(standard deviation, mean) over the axes `dim`."""
    axes = _variance_options(dim, unbiased, correction)[0]
    return x.std(dim, unbiased, keepdim, correction=correction), x.mean(axes, keepdim)


@op(cached=True)
def nansum(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor:
    """The sum over the axes `dim`, NaN counted as 0."""
    from . import where

    known = where(x.isnan(), 0, x) if x.dtype.kind == "f" else x
    return known.sum(dim, keepdim, dtype=dtype)


@op(cached=True)
def nanmean(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor:
    """The mean over the axes `dim` of what is not NaN."""
    expect(x.dtype.kind == "f", nanmean, "a float dtype", x.dtype.name, NoKernelError)
    total = x.nansum(dim, keepdim, dtype=dtype)
    return total / x.detach().isnan().logical_not().sum(dim, keepdim).to(total.dtype)
