"""Softmax and its logarithm."""

from __future__ import annotations

from .. import _native
from ..dtype import DType
from ..errors import DTypeError, expect
from ..registry import op
from ..tensor import Tensor, empty_like, unwrap_tensor
from .reduce import axes_of


def _float(x: Tensor, where: object) -> None:
    unwrap_tensor(x, where)
    expect(
        x.dtype.kind == "f" and x.dtype.itemsize > 1,
        where,
        "a float dtype",
        x.dtype.name,
        DTypeError,
    )


@op
def softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`exp(x)` scaled to sum 1 along `dim`."""
    x = x if dtype is None else x.to(dtype)
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


@softmax.kernel
def _(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    return _softmax(softmax, x, dim, dtype, 0)


@softmax.grad
def _(g: Tensor, _x: Tensor, dim: int, dtype: object, out: Tensor) -> Tensor:
    g = g.to(out.dtype)
    weighted = g * out
    return weighted - out * weighted.sum(dim, keepdim=True)


@op
def log_softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`log(softmax(x))` along `dim`, without the loss of precision."""
    x = x if dtype is None else x.to(dtype)
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@log_softmax.kernel
def _(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    return _softmax(log_softmax, x, dim, dtype, 1)


@log_softmax.grad
def _(g: Tensor, _x: Tensor, dim: int, dtype: object, out: Tensor) -> Tensor:
    return g - out.exp() * g.sum(dim, keepdim=True)


def _softmax(where: object, x: Tensor, dim: int, dtype: DType | str | None, log: int) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    _float(x, where)
    if not x.ndim:
        return _softmax(where, x.reshape(1), 0, None, log).reshape(())
    axis = axes_of(x, dim, where)[0]
    out = empty_like(x)
    _native.call("softmax", out._array, x._array, axis, log)
    return out
