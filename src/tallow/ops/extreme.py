"""Largest and smallest: over axes, with their positions, of two tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..registry import Op, op
from ..tensor import Tensor
from .reduce import Dim, expand_reduced


class ValuesIndices(NamedTuple):
    """What max, min, sort, topk, … give along an axis."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What aminmax gives."""

    min: Tensor
    max: Tensor


@op
def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element over the axes `dim` (all by default); NaN wins."""
    ...


@op
def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element over the axes `dim` (all by default); NaN wins."""
    ...


def _attach_extreme(op: Op[..., Any]) -> None:
    op.out(op.__name__)
    op.kernel(op.__name__)

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


for _place_op in (argmax, argmin):
    _place_op.out(_place_op.__name__)
    _place_op.kernel(_place_op.__name__)


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
