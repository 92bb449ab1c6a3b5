"""Activation functions with parameters: numbers, weights, or an axis to halve."""

from __future__ import annotations

from typing import Any

from ..dtype import FLOATS
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_ternary import clamp, where


def _expect_float(x: Tensor, at: object) -> None:
    if type(x) is not Tensor:
        unwrap_tensor(x, at)
    if x.dtype.kind != "f":
        expect(False, at, "a float dtype", x.dtype.name, NoKernelError)


# --- with numbers ---------------------------------------------------------------------------------


@op(inplace=True)
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` where it is positive, else `negative_slope * x`."""
    return where(x > 0, x, x * negative_slope)


@leaky_relu.check
def _(x: Tensor, negative_slope: float) -> None:
    _expect_float(x, leaky_relu)


leaky_relu.kernel("leaky_relu", dtypes=FLOATS)


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


scaled_elu.kernel("scaled_elu", dtypes=FLOATS)


@scaled_elu.grad
def _(g: Tensor, x: Tensor, low: float, slope: float, high: float) -> Tensor:
    return where(x <= 0, g * ((x * slope).exp() * (low * slope)), g * high)


@op(inplace=True)
def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """`x` where it is positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015)."""
    return scaled_elu(x, alpha * scale, input_scale, scale)


_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@op(inplace=True, cached=True)
def selu(x: Tensor) -> Tensor:
    """ELU scaled to keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return scaled_elu(x, _ALPHA * _SCALE, 1.0, _SCALE)


@op(inplace=True, cached=True)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)` (Barron 2017)."""
    expect(alpha != 0, celu, "an alpha other than 0", alpha, ArgumentError)
    return scaled_elu(x, alpha, 1 / alpha, 1.0)


@op(cached=True)
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`log(1 + exp(beta * x)) / beta`; `x` itself where `beta * x` exceeds `threshold`."""
    return where(x * beta > threshold, x, (x * beta).clamp(max=80).exp().log1p() / beta)


@softplus.check
def _(x: Tensor, beta: float, threshold: float) -> None:
    _expect_float(x, softplus)


softplus.kernel("softplus", dtypes=FLOATS)


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


hardshrink.kernel("hardshrink", dtypes=FLOATS)


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


softshrink.kernel("softshrink", dtypes=FLOATS)


@softshrink.grad
def _(g: Tensor, x: Tensor, lambd: float) -> Tensor:
    return where((x >= -lambd) & (x <= lambd), 0, g)


@op(inplace=True)
def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """`x` where it exceeds `threshold`, else `value`."""
    return where(x <= threshold, value, x).to(x.dtype)


threshold.kernel("threshold", dtypes=FLOATS)


@threshold.grad
def _(g: Tensor, x: Tensor, threshold: float, value: float) -> Tensor:
    return where(x <= threshold, 0, g)


@op(inplace=True, cached=True)
def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`x` limited to [min_val, max_val]."""
    if x.dtype.kind in "iu":
        return clamp(x, int(min_val), int(max_val))
    _expect_float(x, hardtanh)
    return clamp(x, min_val, max_val)


@hardtanh.check
def _(x: Tensor, min_val: float, max_val: float) -> None:
    fits = min_val <= max_val
    expect(fits, hardtanh, "min_val of at most max_val", (min_val, max_val), ArgumentError)


hardtanh.kernel("clamp", dtypes=FLOATS)


@hardtanh.grad
def _(g: Tensor, x: Tensor, min_val: float, max_val: float) -> Tensor:
    return where((x <= min_val) | (x >= max_val), 0, g)


@op(inplace=True, cached=True)
def relu6(x: Tensor) -> Tensor:
    """`x` limited to [0, 6]."""
    return hardtanh(x, 0.0, 6.0)


# --- with weights, or of several parts ------------------------------------------------------------


@op(name="nn.prelu")
def leaky(x: Tensor, weight: Tensor) -> Tensor:
    """`x` where it is positive, else `weight * x`, broadcast."""
    return where(x > 0, x, x * weight)


leaky.kernel("leaky_product", dtypes=FLOATS)


@op(cached=True)
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """`x` where it is positive, else `weight * x`; one weight, or one per channel (axis 1)."""
    expect(weight.ndim <= 1, prelu, "a weight of at most one axis", weight.shape)
    if weight.numel() != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        expect(weight.numel() == channels, prelu, f"{channels} weights", weight.numel())
        weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2))
    elif weight.ndim:
        weight = weight.reshape(())
    return leaky(x, weight)


@op(cached=True)
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
