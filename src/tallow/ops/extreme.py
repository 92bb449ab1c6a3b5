"""Largest and smallest: over axes, with their positions, of two tensors."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

from ..dtype import i64
from ..errors import IndexRangeError, expect
from ..registry import Op, op
from ..tensor import Tensor
from .reduce import Dim, axes_mask, axes_of, expand_reduced, plain, reduced_shape


class ValuesIndices(NamedTuple):
    """What max, min, sort, topk, … give along an axis."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What aminmax gives."""

    min: Tensor
    max: Tensor


def _filled(x: Tensor, dim: Dim, where: object) -> None:
    """Refuse to look for an extreme among no elements."""
    shape = x.shape
    if 0 not in shape:
        return
    empty = builtins.any(shape[axis] == 0 for axis in axes_of(x, dim, where))
    wanted = "at least one element along the reduced axes"
    expect(not empty, where, wanted, f"shape {shape}", IndexRangeError)


@op
def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element over the axes `dim` (all by default); NaN wins."""
    ...


@op
def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element over the axes `dim` (all by default); NaN wins."""
    ...


def _attach_extreme(op: Op[..., Any]) -> None:
    @op.check
    def _(x: Tensor, dim: Dim, keepdim: bool) -> None:
        plain(x, op)
        _filled(x, dim, op)

    @op.out
    def _(x: Tensor, dim: Dim, keepdim: bool) -> Any:
        return reduced_shape(x, dim, keepdim, op), x.dtype

    @op.kernel(op.__name__)
    def _(x: Tensor, dim: Dim, keepdim: bool) -> tuple[Any, ...]:
        return x, axes_mask(x, dim, op)

    @op.grad
    def _(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, out: Tensor) -> Tensor:
        return _shared(g, x, dim, keepdim, out)


_attach_extreme(amax)
_attach_extreme(amin)


def _shared(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, out: Tensor) -> Tensor:
    """Equal extremes share the gradient equally, as in PyTorch."""
    top = expand_reduced(out.detach(), x, dim, keepdim)
    here = x.detach()
    mask = here.eq(top).logical_or(here.isnan().logical_and(top.isnan())).to(g.dtype)
    return expand_reduced(g, x, dim, keepdim) * (mask / mask.sum(dim, keepdim=True))


@op
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first largest element, of the flattened tensor or along `dim`."""
    ...


@op
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first smallest element, of the flattened tensor or along `dim`."""
    ...


def _attach_place(op: Op[..., Any]) -> None:
    @op.check
    def _(x: Tensor, dim: int | None, keepdim: bool) -> None:
        plain(x, op)
        expect(dim is None or hasattr(dim, "__index__"), op, "one axis", dim)
        _filled(x, dim, op)

    @op.out
    def _(x: Tensor, dim: int | None, keepdim: bool) -> Any:
        return reduced_shape(x, dim, keepdim, op), i64

    @op.kernel(op.__name__)
    def _(out: Tensor, x: Tensor, dim: int | None, keepdim: bool) -> tuple[Any, ...]:
        if dim is None or not x.ndim:
            return out, x.reshape(-1), -1
        return out, x, dim % x.ndim


_attach_place(argmax)
_attach_place(argmin)


def _extreme(x: Tensor, dim: int, keepdim: bool, arg: Any, whole: Any) -> ValuesIndices:
    places = arg(x.detach(), dim, True)
    if x.requires_grad and x.ndim:
        values = x.take_along_dim(places, dim)  # the gradient goes to the one place that is named
    else:
        values = whole(x, dim, True)
    if not keepdim and x.ndim:
        values, places = values.squeeze(dim), places.squeeze(dim)
    return ValuesIndices(values, places)


@op
def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; (values, indices) along an axis; elementwise with another tensor."""
    if dim is None:
        return x.amax()
    if isinstance(dim, Tensor):
        return x.maximum(dim)
    return _extreme(x, dim, keepdim, Tensor.argmax, Tensor.amax)


@op
def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; (values, indices) along an axis; elementwise with another tensor."""
    if dim is None:
        return x.amin()
    if isinstance(dim, Tensor):
        return x.minimum(dim)
    return _extreme(x, dim, keepdim, Tensor.argmin, Tensor.amin)


@op
def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """(smallest, largest) element, of all or along an axis."""
    return MinMax(x.amin(dim, keepdim), x.amax(dim, keepdim))
