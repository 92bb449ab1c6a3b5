"""Activation functions: fused kernels with their gradients, the rest by other ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..callers import elementwise
from ..dtype import FLOATS, f32
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..registry import Op, op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_rows import conj, quick_row
from .elementwise_three import clamp, where
from .linalg import linear


def _expect_float(x: Tensor, at: object) -> None:
    unwrap_tensor(x, at)
    if x.dtype.kind != "f":
        expect(False, at, "a float dtype", x.dtype.name, NoKernelError)


def _numbers_kernel(made: Op[..., Any], kernel: str, numbers: Callable[..., Any]) -> None:
    """Attach an elementwise kernel of x and three numbers."""
    run, reference = elementwise(kernel, numbers=True), made.reference

    @made.kernel
    def _(x: Tensor, *given: float, **named: float) -> Any:
        if x.dtype not in FLOATS:
            return reference(x, *given, **named)
        values = [*given, *named.values()]
        missing = [default for _, _, default in made.parameters[1 + len(values) :]]
        return run(x, *map(float, numbers(*values, *missing)))


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


@op
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


@gelu_tanh.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    # tanh(u) = 2 sigmoid(2u) - 1, so the function is x times a sigmoid of twice the inner
    # polynomial.
    square = x * x
    s = (x * (square * 0.044715 + 1) * (2 * math.sqrt(2 / math.pi))).sigmoid()
    slope = (square * (3 * 0.044715) + 1) * (2 * math.sqrt(2 / math.pi))
    return g * (s + x * s * (1 - s) * slope)


@op
def quick_gelu(x: Tensor) -> Tensor:
    """`x * sigmoid(1.702 x)`, CLIP's approximation of GELU (Hendrycks & Gimpel 2016)."""
    return x * (x * 1.702).sigmoid()


@quick_gelu.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    s = (x * 1.702).sigmoid()
    return g * s * (1 + x * 1.702 * (1 - s))


_gelu = quick_row("gelu", 1, lambda g, x: gelu_grad(g, x))


@op
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """`x * Phi(x)` with the Gaussian distribution function; "tanh" names its approximation."""
    known = approximate in ("none", "tanh")
    expect(known, gelu, 'approximate "none" or "tanh"', approximate, ArgumentError)
    return gelu_tanh(x) if approximate == "tanh" else _gelu(x)


gelu.elementwise = None  # the kernel of that name has no options


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


@op
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return x / (x.abs() + 1)


@op
def tanhshrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return x - x.tanh()


# --- with numbers ---------------------------------------------------------------------------------


@op(inplace=True)
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` where it is positive, else `negative_slope * x`."""
    return where(x > 0, x, x * negative_slope)


@leaky_relu.check
def _(x: Tensor, negative_slope: float) -> None:
    _expect_float(x, leaky_relu)


_numbers_kernel(leaky_relu, "leaky", lambda slope: (slope, 0, 0))


@leaky_relu.grad
def _(g: Tensor, x: Tensor, negative_slope: float) -> Tensor:
    return where(x > 0, g, g * negative_slope)


@op
def scaled_elu(x: Tensor, low: float, slope: float, high: float) -> Tensor:
    """`high * x` where `x` is positive, else `low * (exp(slope * x) - 1)`."""
    return where(x > 0, x * high, (x * slope).expm1() * low)


@scaled_elu.check
def _(x: Tensor, low: float, slope: float, high: float) -> None:
    _expect_float(x, "elu")


_numbers_kernel(scaled_elu, "elu_scaled", lambda *numbers: numbers)


@scaled_elu.grad
def _(g: Tensor, x: Tensor, low: float, slope: float, high: float) -> Tensor:
    return where(x <= 0, g * ((x * slope).exp() * (low * slope)), g * high)


@op(inplace=True)
def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """`x` where it is positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015)."""
    return scaled_elu(x, alpha * scale, input_scale, scale)


_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@op(inplace=True)
def selu(x: Tensor) -> Tensor:
    """ELU scaled to keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return scaled_elu(x, _ALPHA * _SCALE, 1.0, _SCALE)


@op(inplace=True)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)` (Barron 2017)."""
    expect(alpha != 0, celu, "an alpha other than 0", alpha, ArgumentError)
    return scaled_elu(x, alpha, 1 / alpha, 1.0)


@op
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`log(1 + exp(beta * x)) / beta`; `x` itself where `beta * x` exceeds `threshold`."""
    return where(x * beta > threshold, x, (x * beta).clamp(max=80).exp().log1p() / beta)


@softplus.check
def _(x: Tensor, beta: float, threshold: float) -> None:
    _expect_float(x, softplus)


_numbers_kernel(softplus, "softplus_scaled", lambda beta, threshold: (beta, threshold, 0))


@softplus.grad
def _(g: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    return where(x * beta > threshold, g, g * (x * beta).sigmoid())


@op
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """0 in [-lambd, lambd], else `x`."""
    return where((x >= -lambd) & (x <= lambd), 0, x)


@hardshrink.check
def _(x: Tensor, lambd: float) -> None:
    _expect_float(x, hardshrink)


_numbers_kernel(hardshrink, "hardshrink_beyond", lambda lambd: (lambd, 0, 0))


@hardshrink.grad
def _(g: Tensor, x: Tensor, lambd: float) -> Tensor:
    return where((x >= -lambd) & (x <= lambd), 0, g)


@op
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """`x` moved towards 0 by `lambd`, not past it."""
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, x * 0))


@softshrink.check
def _(x: Tensor, lambd: float) -> None:
    expect(lambd >= 0, softshrink, "lambd from 0 up", lambd, ArgumentError)
    _expect_float(x, softshrink)


_numbers_kernel(softshrink, "softshrink_by", lambda lambd: (lambd, 0, 0))


@softshrink.grad
def _(g: Tensor, x: Tensor, lambd: float) -> Tensor:
    return where((x >= -lambd) & (x <= lambd), 0, g)


@op(inplace=True)
def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """`x` where it exceeds `threshold`, else `value`."""
    return where(x <= threshold, value, x).to(x.dtype)


_numbers_kernel(threshold, "threshold_at", lambda threshold, value: (threshold, value, 0))


@threshold.grad
def _(g: Tensor, x: Tensor, threshold: float, value: float) -> Tensor:
    return where(x <= threshold, 0, g)


@op(inplace=True)
def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`x` limited to [min_val, max_val]."""
    fits = min_val <= max_val
    expect(fits, hardtanh, "min_val of at most max_val", (min_val, max_val), ArgumentError)
    if x.dtype.kind in "iu":
        return clamp(x, int(min_val), int(max_val))
    _expect_float(x, hardtanh)
    return clamp(x, min_val, max_val)


@hardtanh.grad
def _(g: Tensor, x: Tensor, min_val: float, max_val: float) -> Tensor:
    return where((x <= min_val) | (x >= max_val), 0, g)


@op(inplace=True)
def relu6(x: Tensor) -> Tensor:
    """`x` limited to [0, 6]."""
    return hardtanh(x, 0.0, 6.0)


# --- with weights, or of several parts ------------------------------------------------------------


@op
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """`x` where it is positive, else `weight * x`; one weight, or one per channel (axis 1)."""
    expect(weight.ndim <= 1, prelu, "a weight of at most one axis", weight.shape)
    if weight.numel() != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        expect(weight.numel() == channels, prelu, f"{channels} weights", weight.numel())
        weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2))
    elif weight.ndim:
        weight = weight.reshape(())
    return where(x > 0, x, x * weight)


@op
def glu(x: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second (Dauphin et al. 2016)."""
    expect(x.ndim > 0, glu, "at least one axis", "a 0-d tensor")
    expect(-x.ndim <= dim < x.ndim, glu, f"an axis of a {x.ndim}-d tensor", dim, IndexRangeError)
    size = x.shape[dim]
    expect(size % 2 == 0, glu, f"an even length of axis {dim}", size)
    return x.narrow(dim, 0, size // 2) * x.narrow(dim, size // 2, size // 2).sigmoid()


@op(inplace=True)
def rrelu(x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """Leaky ReLU with a slope drawn from [lower, upper]; their mean unless `training`."""
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    slope: Any = x.detach().clone()
    slope.uniform_(lower, upper)
    return where(x > 0, x, x * slope)


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
