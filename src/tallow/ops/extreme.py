"""Largest and smallest: over axes, with their positions, of two tensors."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

from .. import _native
from ..dtype import i64
from ..errors import IndexRangeError, expect
from ..registry import op, primitive
from ..tensor import Tensor, wrap
from .reduce import Dim, axes_of, plain, reduced, spread


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


@primitive
def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element over the axes `dim` (all by default); NaN wins."""
    plain(x, amax)
    _filled(x, dim, amax)
    return reduced("amax", amax, x, dim, keepdim, x.dtype)


@primitive
def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element over the axes `dim` (all by default); NaN wins."""
    plain(x, amin)
    _filled(x, dim, amin)
    return reduced("amin", amin, x, dim, keepdim, x.dtype)


@amax.grad
def _(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, out: Tensor) -> Tensor:
    return _shared(g, x, dim, keepdim, out)


@amin.grad
def _(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, out: Tensor) -> Tensor:
    return _shared(g, x, dim, keepdim, out)


def _shared(g: Tensor, x: Tensor, dim: Dim, keepdim: bool, out: Tensor) -> Tensor:
    """Equal extremes share the gradient equally, as in PyTorch."""
    top = spread(out.detach(), x, dim, keepdim)
    here = x.detach()
    mask = here.eq(top).logical_or(here.isnan().logical_and(top.isnan())).to(g.dtype)
    return spread(g, x, dim, keepdim) * (mask / mask.sum(dim, keepdim=True))


_KERNELS = {name: _native.kernel(name) for name in ("argmax", "argmin")}


def _arg(name: str, where: object, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    plain(x, where)
    expect(dim is None or hasattr(dim, "__index__"), where, "one axis", dim)
    _filled(x, dim, where)
    kernel, shape = _KERNELS[name], x._array.shape
    n = len(shape)
    if dim is not None and -n <= dim < n:
        axis = dim % n
        out = _native.Array.empty((*shape[:axis], 1, *shape[axis + 1 :]), i64.code)
        kernel(out, x._array, axis)
        return wrap(out if keepdim else out.squeeze(axis))
    axes_of(x, dim, where)  # refuses an axis that is not there; a 0-d tensor has 0 and -1
    out = _native.Array.empty((1,), i64.code)
    kernel(out, x._array.reshape((-1,)), 0)
    return wrap(out.reshape((1,) * n if keepdim else ()))


@primitive
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first largest element, of the flattened tensor or along `dim`."""
    return _arg("argmax", argmax, x, dim, keepdim)


@primitive
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first smallest element, of the flattened tensor or along `dim`."""
    return _arg("argmin", argmin, x, dim, keepdim)


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
