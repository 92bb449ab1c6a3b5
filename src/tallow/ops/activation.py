"""Activation functions: fused kernels with their gradients, the rest by other ops."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import f32
from ..errors import ArgumentError, expect
from ..registry import op
from ..tensor import Tensor
from .elementwise_ops import conj
from .elementwise_ternary import where
from .linalg import linear

# --- one input ------------------------------------------------------------------------------------


@op
def relu_grad(g: Tensor, out: Tensor) -> Tensor:
    """`g`, but 0 where `out` is 0 or less: the gradient of `out = relu(x)`; NaN lets it through."""
    return where(out <= 0, 0, g)


@op
def sigmoid_grad(g: Tensor, out: Tensor) -> Tensor:
    """`g * out * (1 - out)`: the gradient of `out = sigmoid(x)`."""
    return g * out * (1 - out)


@op
def silu_grad(g: Tensor, x: Tensor) -> Tensor:
    """`g` times the derivative of `silu` at `x`."""
    s = x.sigmoid()
    return g * s * (1 + x * (1 - s))


@op
def gelu_grad(g: Tensor, x: Tensor) -> Tensor:
    """`g` times the derivative of the exact `gelu` at `x`."""
    density = (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
    return g * (((x * math.sqrt(0.5)).erf() + 1) * 0.5 + x * density)


@op
def relu(x: Tensor) -> Tensor:
    """`x` where it is positive, else 0."""
    return x.maximum(0)


@relu.grad
def _(g: Tensor, _x: Tensor, out: Tensor) -> Tensor:
    return relu_grad(g, out)


@op
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return ((-x).exp() + 1).reciprocal()


@sigmoid.grad
def _(g: Tensor, _x: Tensor, out: Tensor) -> Tensor:
    if out.dtype.kind == "c":
        return g * conj(out * (1 - out))
    return sigmoid_grad(g, out)


@op(cached=True)
def logsigmoid(x: Tensor) -> Tensor:
    """`log(sigmoid(x))`, without overflow on the way."""
    return x.minimum(0) - (-x.abs()).exp().log1p()


@logsigmoid.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    return g * (-x).sigmoid()


@op
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`."""
    return x * x.sigmoid()


@silu.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    if x.dtype.kind == "c":
        s = x.sigmoid()
        return g * conj(s * (1 + x * (1 - s)))
    return silu_grad(g, x)


@op
def silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up` in one pass: the middle of a gated MLP."""
    return gate.silu() * up


@silu_mul.grad(uses={"up": ("gate",)})
def _(g: Tensor, gate: Tensor, up: Tensor) -> tuple[Any, Any]:
    return lambda: silu_grad(g * up, gate), lambda: g * gate.silu()


@op
def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks & Gimpel 2016)."""
    return x * 0.5 * (((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)).tanh() + 1)


def _gelu_tanh_grad(g: Tensor, x: Tensor) -> Tensor:
    # tanh(u) = 2 sigmoid(2u) - 1, so the function is x times a sigmoid of twice the inner
    # polynomial.
    square = x * x
    s = (x * (square * 0.044715 + 1) * (2 * math.sqrt(2 / math.pi))).sigmoid()
    slope = (square * (3 * 0.044715) + 1) * (2 * math.sqrt(2 / math.pi))
    return g * (s + x * s * (1 - s) * slope)


gelu_tanh.grad(_gelu_tanh_grad)


@op
def quick_gelu(x: Tensor) -> Tensor:
    """`x * sigmoid(1.702 x)`, CLIP's approximation of GELU (Hendrycks & Gimpel 2016)."""
    return x * (x * 1.702).sigmoid()


@quick_gelu.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    s = (x * 1.702).sigmoid()
    return g * s * (1 + x * 1.702 * (1 - s))


@op(inplace=False)
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """`x * Phi(x)` with the Gaussian distribution function; "tanh" names its approximation."""
    known = approximate in ("none", "tanh")
    expect(known, gelu, 'approximate "none" or "tanh"', approximate, ArgumentError)
    return gelu_tanh(x) if approximate == "tanh" else x * (x * math.sqrt(0.5)).erf().add(1) * 0.5


@gelu.grad
def _(g: Tensor, x: Tensor, approximate: str) -> Tensor:
    return gelu_grad(g, x) if approximate == "none" else _gelu_tanh_grad(g, x)


@op
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))` (Misra 2019)."""
    return x * x.softplus().tanh()


@mish.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    t = x.softplus().tanh()
    return g * (t + x * x.sigmoid() * (1 - t * t))


@op
def hardsigmoid(x: Tensor) -> Tensor:
    """`clamp(x + 3, 0, 6) / 6`."""
    return (x + 3).clamp(0, 6) / 6


@hardsigmoid.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    return where((x > -3) & (x < 3), g / 6, 0)


@op
def hardswish(x: Tensor) -> Tensor:
    """`x * hardsigmoid(x)` (Howard et al. 2019)."""
    return x * (x + 3).clamp(0, 6) / 6


@hardswish.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    return where(x <= -3, 0, where(x < 3, g * (x / 3 + 0.5), g))


@op(cached=True)
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return x / (x.abs() + 1)


@op(cached=True)
def tanhshrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return x - x.tanh()


# --- after a product ------------------------------------------------------------------------------

# The numbers are the kernel's; 0 is none.
_ACTS: dict[str, tuple[int, Any]] = {
    "gelu": (1, gelu),
    "gelu_tanh": (2, gelu_tanh),
    "quick_gelu": (3, quick_gelu),
    "relu": (4, relu),
    "silu": (5, silu),
}


@op
def linear_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    *,
    act: str = "",
    exact: bool = False,
) -> Tensor:
    """`act(linear(x, weight, bias)) + residual` in one pass over the result, (…, n).

    `act` is "gelu", "gelu_tanh", "quick_gelu", "relu", "silu", or "" for none; `residual` has the
    result's shape.
    """
    out = linear(x, weight, bias, exact=exact)
    if act:
        out = _ACTS[act][1](out)
    return out if residual is None else out + residual


@linear_act.check
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, act: str, exact: bool
) -> None:  # fmt: skip
    known = not act or act in _ACTS
    expect(known, linear_act, f"act of {', '.join(_ACTS)} or none", repr(act), ArgumentError)
    if x.shape[-1:] != weight.shape[1:] and linear.checker is not None:
        linear.checker(x, weight, bias, exact)
    if residual is not None:
        shape = x.shape[:-1] + weight.shape[:-1]
        if residual.shape != shape:
            expect(False, linear_act, f"residual of shape {shape}", residual.shape)


@linear_act.out
def _(x: Tensor, weight: Tensor, *how: Any) -> Any:
    return x.shape[:-1] + weight.shape[:-1], x.dtype


def _in_one_pass(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, *how: Any
) -> bool:
    """Whether the kernel takes such arguments."""
    if weight.ndim != 2 or not x.is_contiguous():
        return False
    return residual is None or (residual.dtype is f32 and residual.is_contiguous())


@linear_act.kernel("linear_act", dtypes=(f32,), when=_in_one_pass)
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, act: str, exact: bool
) -> tuple[Any, ...]:  # fmt: skip
    return x, weight, bias, residual, _ACTS[act][0] if act else 0, bool(exact)
