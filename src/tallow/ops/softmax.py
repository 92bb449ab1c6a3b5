"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..dtype import DType
from ..registry import Op, op
from ..tensor import Tensor


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


@op(name="nn.softmax_backward", cached=True)
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


def _attach(op: Op[..., Any], log: bool) -> None:
    op.out(op.__name__)
    op.kernel("softmax")

    @op.grad
    def _(g: Tensor, _x: Tensor, dim: int, dtype: object, out: Tensor) -> Any:
        return softmax_backward(g, out, dim, log)


_attach(softmax, False)
_attach(log_softmax, True)
