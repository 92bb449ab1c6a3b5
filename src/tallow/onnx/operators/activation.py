"""Activation functions."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.table import operator
from tallow.ops.activation_parametric import leaky
from tallow.tensor import Tensor

for _name, _since, _function in (
    ("HardSwish", 14, ops.hardswish), ("Mish", 18, ops.mish), ("Relu", 6, ops.relu),
    ("Sigmoid", 6, ops.sigmoid), ("Softsign", 1, ops.softsign),
):  # fmt: skip
    operator(_name, since=_since)(_function)


@operator("LeakyRelu", since=6)
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """`x`, times `alpha` below 0."""
    return ops.leaky_relu(x, alpha)


@operator("PRelu", since=7)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """`x`, times `slope` below 0."""
    if x.dtype.kind == "f":
        return leaky(x, slope)
    return ops.where(x < 0, x * slope, x)


@operator("HardSigmoid", since=6)
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """`alpha * x + beta` limited to [0, 1]."""
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return ops.hardsigmoid(x)
    return ops.clamp(x * alpha + beta, 0.0, 1.0)


@operator("Elu", since=6)
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """`x`, below 0 `alpha * (exp(x) - 1)`."""
    return ops.elu(x, alpha)


@operator("Celu", since=12)
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """`x`, below 0 `alpha * (exp(x / alpha) - 1)`."""
    return ops.celu(x, alpha)


@operator("Selu", since=6)
def selu(x: Tensor, *, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323) -> Any:
    """`gamma` times `x`, or below 0 times `alpha * (exp(x) - 1)`."""
    return ops.elu(x, alpha, gamma)


@operator("Softplus", since=1)
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`."""
    return ops.softplus(x, 1.0, 40.0 if x.dtype.itemsize == 8 else 20.0)


@operator("ThresholdedRelu", since=10)
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """`x` above `alpha`, else 0, NaN included."""
    return ops.where(x > alpha, x, 0.0)


@operator("Shrink", since=9)
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """`x` moved towards 0 by `bias`; 0 from `-lambd` to `lambd`, and for NaN."""
    wide = x if x.dtype.kind == "f" else x.to("f64")
    above = ops.where(wide > lambd, wide - bias, 0.0)
    return ops.where(wide < -lambd, wide + bias, above).to(x.dtype)


@operator("Gelu", since=20)
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """The GELU, exact or by a tanh."""
    modes = approximate in ("none", "tanh")
    expect(modes, "Gelu", 'approximate "none" or "tanh"', approximate, ArgumentError)
    return ops.gelu(x) if approximate == "none" else ops.gelu_tanh(x)


@operator("Swish", since=24)
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """`x * sigmoid(alpha * x)`."""
    return ops.silu(x) if alpha == 1 else x * ops.sigmoid(x * alpha)


@operator("SwiGLU", since=28)
def swiglu(a: Tensor, b: Tensor, *, alpha: float = 1.0) -> Tensor:
    """The Swish of `a` times `b`."""
    expect(a.shape == b.shape, "SwiGLU", f"inputs of one shape {a.shape}", b.shape)
    return ops.silu_mul(a, b) if alpha == 1 else swish(a, alpha=alpha) * b
