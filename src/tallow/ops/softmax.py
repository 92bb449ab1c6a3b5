"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..dtype import FLOATS, DType, as_dtype
from ..errors import NoKernelError, expect
from ..registry import Op, op
from ..tensor import Tensor, unwrap_tensor
from .shape import axis_of


@op
def softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`exp(x)` scaled to sum 1 along `dim`."""
    x = x if dtype is None else x.to(dtype)
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


@op
def log_softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`log(softmax(x))` along `dim`, without the loss of precision."""
    x = x if dtype is None else x.to(dtype)
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@op(name="nn.softmax_backward")
def softmax_backward(g: Tensor, out: Tensor, dim: int, log: bool) -> Tensor:
    """The gradient of what `softmax` (or `log_softmax`) made `out` of, in the dtype of `out`."""
    g = g.to(out.dtype)
    if log:
        return g - out.exp() * g.sum(dim, keepdim=True)
    weighted = g * out
    return weighted - out * weighted.sum(dim, keepdim=True)


@softmax_backward.out
def _(g: Tensor, out: Tensor, dim: int, log: bool) -> Any:
    return out


@softmax_backward.kernel("softmax_backward")
def _(g: Tensor, out: Tensor, dim: int, log: bool) -> tuple[Any, ...]:
    return g.to(out.dtype), out, dim, int(log)


def _attach(op: Op[..., Any], log: int) -> None:
    @op.check
    def _(x: Tensor, dim: int, dtype: DType | str | None) -> None:
        if type(x) is not Tensor:
            unwrap_tensor(x, op)
        given = x.dtype if dtype is None else as_dtype(dtype)
        if given not in FLOATS:
            expect(False, op, "a float dtype", given.name, NoKernelError)
        n = x.ndim
        if not -n <= dim < n:
            axis_of(dim, n, op)

    @op.out
    def _(x: Tensor, dim: int, dtype: DType | str | None) -> Any:
        return x.shape, x.dtype if dtype is None else as_dtype(dtype)

    @op.kernel("softmax")
    def _(x: Tensor, dim: int, dtype: DType | str | None) -> tuple[Any, ...]:
        return x if dtype is None else x.to(dtype), dim, log

    @op.grad
    def _(g: Tensor, _x: Tensor, dim: int, dtype: object, out: Tensor) -> Any:
        return softmax_backward(g, out, dim, bool(log))


_attach(softmax, 0)
_attach(log_softmax, 1)
