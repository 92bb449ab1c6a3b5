"""Reductions: sums, means, products, variances, any and all."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from ..dtype import DType, as_dtype, bool_, f32, i64, u8
from ..errors import expect
from ..registry import op
from ..tensor import Tensor
from .shape import axes_of as shape_axes

Dim = int | Sequence[int] | None


def axes_of(x: Tensor | Any, dim: Dim, where: object) -> tuple[int, ...]:
    """The axes to reduce, counted from the front, each once; all of them for None and ()."""
    n = len(x.shape)
    if type(dim) is int and -n <= dim < n:
        return (dim % n,)
    every = tuple(range(n))
    dims = every if dim is None else tuple(sorted(shape_axes(dim, n, where))) or every
    return dims if n else ()


def expand_reduced(g: Tensor, x: Any, dim: Dim, keepdim: bool) -> Tensor:
    """A gradient of a reduction of `x` (which has a shape), seen over the shape of `x`."""
    shape = x.shape
    if not keepdim and shape:
        axes = axes_of(x, dim, "gradient")
        g = g.reshape([1 if i in axes else n for i, n in enumerate(shape)])
    return g.expand(shape)


def _sum_dtype(x: Tensor, dtype: DType | str | None) -> DType:
    if dtype is not None:
        return as_dtype(dtype)
    given = x.dtype
    return given if given.kind in "fc" else i64


@op
def sum(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor:
    """The sum over the axes `dim` (all by default); integers and bools give i64."""
    ...


sum.out("sum")
sum.kernel("sum")


@sum.grad
def _(g: Tensor, _x: Tensor, dim: Dim, keepdim: bool, dtype: Any) -> Tensor:
    return expand_reduced(g, _x, dim, keepdim)


@op
def mean(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor:
    """The mean over the axes `dim` (all by default); for floats, as in PyTorch."""
    ...


mean.out("mean")
mean.kernel("mean")


@mean.grad
def _(g: Tensor, _x: Tensor, dim: Dim, keepdim: bool, dtype: Any) -> Tensor:
    return expand_reduced(g / count(_x, dim), _x, dim, keepdim)


def count(x: Any, dim: Dim) -> int:
    """How many elements of `x` (which has a shape) become one."""
    return math.prod(x.shape[axis] for axis in axes_of(x, dim, "reduction"))


@op
def prod(
    x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | str | None = None
) -> Tensor:
    """The product over the axes `dim` (all by default); integers and bools give i64."""
    wanted = _sum_dtype(x, dtype)
    lines = _in_lines(x.to(wanted), dim)
    last = lines.shape[-1] - 1
    out = lines.cumprod(-1).select(-1, last) if last >= 0 else lines.sum(-1) + 1
    out = out.to(wanted)
    for axis in axes_of(x, dim, prod) if keepdim else ():
        out = out.unsqueeze(axis)
    return out


def _in_lines(x: Tensor, dim: Dim) -> Tensor:
    """The axes `dim` merged into a last one, behind the others."""
    axes = axes_of(x, dim, prod)
    rest = [i for i in range(x.ndim) if i not in axes]
    return x.permute([*rest, *axes]).reshape([*(x.shape[i] for i in rest), count(x, dim)])


def _is_real(x: Tensor, dim: Dim, keepdim: bool, dtype: DType | str | None) -> bool:
    return "c" not in x.dtype.kind + _sum_dtype(x, dtype).kind


prod.out("prod")
prod.kernel("prod", when=_is_real)


@prod.grad
def _(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, dtype: Any, out: Tensor) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    if not x.detach().eq(0).any():
        return _conj(expand_reduced(_conj(g) * out, x, dim, keepdim) / x)
    # With a zero, each element's derivative is the product of the others: those before it times
    # those behind it.
    axes = axes_of(x, dim, prod)
    order = [*(i for i in range(x.ndim) if i not in axes), *axes]
    lines = _in_lines(x, dim)
    others = _products_before(lines) * _products_before(lines.flip(-1)).flip(-1)
    shaped = others.reshape([x.shape[i] for i in order])
    back = sorted(range(len(order)), key=order.__getitem__)
    return expand_reduced(g, x, dim, keepdim) * _conj(shaped.permute(back))


def _conj(x: Tensor) -> Tensor:
    return x.conj() if x.dtype.kind == "c" else x


def _products_before(x: Tensor) -> Tensor:
    from ..factories import ones_like
    from .join import cat

    first = ones_like(x.detach().narrow(-1, 0, 1))
    return cat([first, x.narrow(-1, 0, x.shape[-1] - 1)], -1).cumprod(-1)


def centred(x: Tensor, dim: Dim) -> Tensor:
    """The deviations from the mean over the axes `dim`, at least in f32.

    Far from zero a rounded mean is off by more than what lies around it: the mean of the deviations
    themselves, which are small and exact, is taken off them, too.
    """
    h = x.to(f32) if x.dtype.kind == "f" and x.dtype.itemsize < 4 else x
    h = h - h.mean(dim, keepdim=True)
    rest = h.mean(dim, keepdim=True)
    return h - (rest.nan_to_num(0.0, 0.0, 0.0) if rest.dtype.kind == "f" else rest)


@op
def any(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether an element over the axes `dim` is nonzero; of u8 as u8, as in PyTorch."""
    return x.ne(0).sum(dim, keepdim).ne(0).to(_truth(x))


@op
def all(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether every element over the axes `dim` is nonzero; of u8 as u8, as in PyTorch."""
    return x.eq(0).sum(dim, keepdim).eq(0).to(_truth(x))


def _truth(x: Tensor) -> DType:
    return u8 if x.dtype is u8 else bool_


for _truth_op in (any, all):
    _truth_op.out(_truth_op.__name__)
    _truth_op.kernel(_truth_op.__name__)


@op
def count_nonzero(x: Tensor, dim: Dim = None) -> Tensor:
    """How many elements over the axes `dim` (all by default) are nonzero, i64."""
    return x.ne(0).sum(dim)


@op
def sum_to_size(x: Tensor, *size: Any) -> Tensor:
    """`x` summed to `size`, from which it could be broadcast."""
    wanted = tuple(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
    ahead = x.ndim - len(wanted)
    fits = ahead >= 0 and builtins.all(
        n in (1, have) for n, have in zip(wanted, x.shape[ahead:], strict=True)
    )
    expect(fits, sum_to_size, f"a size that expands to {x.shape}", wanted)
    axes = [*range(ahead)] + [
        i + ahead for i, n in enumerate(wanted) if n == 1 and x.shape[i + ahead] != 1
    ]
    if not x.ndim:
        return x.sum()  # a sum is i64, even of nothing but the number itself, as in torch
    return x.sum(axes, keepdim=True).reshape(wanted) if axes else x


@op(cached=True)
def logsumexp(x: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """`log(sum(exp(x)))` over the axes `dim`, without overflow."""
    h = x if x.dtype.kind in "fc" else x.to(f32)
    axis: Any = dim
    if h.dtype is f32 and h.ndim and hasattr(axis, "__index__") and axis in (-1, h.ndim - 1):
        sums = row_logsumexp(h)
        return sums.unsqueeze(-1) if keepdim else sums
    if not h.ndim:
        return h.reshape(1).logsumexp(0) if h.dtype.kind == "c" else h * 1
    if not h.numel():
        return h.exp().sum(dim, keepdim).log()
    out = _logsumexp(h, dim)
    return out if keepdim else out.squeeze(axes_of(x, dim, logsumexp))


def _logsumexp(h: Tensor, dim: Dim) -> Tensor:
    from . import where

    top = h.detach().real if h.dtype.kind == "c" else h.detach()
    top = top.amax(dim, keepdim=True)
    top = where(top.abs().eq(math.inf), 0.0, top)
    return (h - top).exp().sum(dim, keepdim=True).log() + top


@op(name="nn.logsumexp", cached=True)
def row_logsumexp(x: Tensor) -> Tensor:
    """`logsumexp` over the last axis of floats."""
    if not x.numel():
        return x.exp().sum(-1).log()
    return _logsumexp(x, -1).squeeze(-1)


@row_logsumexp.out
def _(x: Tensor) -> Any:
    return x.shape[:-1], x.dtype


@row_logsumexp.kernel("logsumexp", dtypes=(f32,))
def _(x: Tensor) -> tuple[Any, ...]:
    return (x if x.shape[-1] < 2 or x.stride(-1) == 1 else x.contiguous(),)
