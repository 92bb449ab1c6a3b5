"""Softmax and its logarithm."""

from __future__ import annotations

from .. import _native
from ..autograd.mode import MODE
from ..dtype import DType, bf16, f16, f32, f64
from ..errors import NoKernelError, expect
from ..factories import empty_like
from ..registry import op
from ..tensor import Tensor, unwrap_tensor, wrap
from .reduce import axes_of

_kernel = _native.kernel("softmax")
_backward = _native.kernel("softmax_backward")
_FLOATS = frozenset(dtype.code for dtype in (f32, f64, f16, bf16))


def _float(x: Tensor, where: object) -> None:
    unwrap_tensor(x, where)
    expect(
        x.dtype.kind == "f" and x.dtype.itemsize > 1,
        where,
        "a float dtype",
        x.dtype.name,
        NoKernelError,
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
    if not MODE.enabled:
        return _slope(g, dim, out, 0)
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
    if not MODE.enabled:
        return _slope(g, dim, out, 1)
    return g - out.exp() * g.sum(dim, keepdim=True)


def _softmax(where: object, x: Tensor, dim: int, dtype: DType | str | None, log: int) -> Tensor:
    if dtype is not None:
        x = x.to(dtype)
    array = x._array if type(x) is Tensor else unwrap_tensor(x, where)
    if array.dtype not in _FLOATS:
        _float(x, where)
    last = array.ndim - 1
    axis = last if dim in (-1, last) else axes_of(x, dim, where)[0] if last >= 0 else _scalar(dim)
    out = _native.Array.empty(array.shape, array.dtype)
    _kernel(out, array, axis, log)
    return wrap(out)


def _scalar(dim: int) -> int:
    """The axis that a 0-d tensor is taken to have."""
    expect(dim in (-1, 0), softmax, "dim 0 or -1 of a 0-d tensor", dim)
    return 0


def _slope(g: Tensor, dim: int, out: Tensor, log: int) -> Tensor:
    """The gradient of x, of the dtype of `out`."""
    made = empty_like(out)
    _backward(made._array, g.to(out.dtype)._array, out._array, dim, log)
    return made
