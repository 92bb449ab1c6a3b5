"""Standard Gamma draws with the gradient by their shape (implicit reparametrisation)."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.autograd.function import Function
from tallow.autograd.mode import no_grad
from tallow.tensor import Tensor


def draw(alpha: Tensor) -> Tensor:
    """Gamma variables of rate 1 by rejection (Marsaglia and Tsang 2000)."""
    wide = alpha.detach().to("f64").reshape(-1)
    small = wide < 1
    d = ops.where(small, wide + 1, wide) - 1 / 3
    c = 1 / (9 * d).sqrt()
    out, open_ = d * 0, ops.isfinite(d)
    while bool(open_.any()):
        x = ops.randn(d.shape[0], dtype="f64")
        v = (1 + c * x) ** 3
        u = ops.rand(d.shape[0], dtype="f64").clamp(min=1e-300)
        good = (v > 0) & (u.log() < 0.5 * x.square() + d - d * v + d * v.clamp(min=1e-300).log())
        taken = open_ & good
        out = ops.where(taken, d * v, out)
        open_ = open_ & ~taken
    u = ops.rand(d.shape[0], dtype="f64").clamp(min=1e-300)
    out = ops.where(small, out * (u.log() / wide).exp(), out)
    tiny = 1e-38 if alpha.dtype.name != "f64" else 1e-300
    return out.clamp(min=tiny).reshape(alpha.shape).to(alpha.dtype)


def slope(alpha: Tensor, x: Tensor) -> Tensor:
    """dx/dalpha at a fixed probability: `-(dP/dalpha) / density`, with P the regularised integral.

    P(a, x) = x^a e^-x / Gamma(a) * sum_n x^n / (a (a+1) … (a+n)), differentiated by terms; far to
    the right of the mean the sum is long but stays exact in f64.
    """
    a, z = alpha.detach().to("f64"), x.detach().to("f64")
    term = 1 / a
    derivative = -term / a
    total, slope_total, n = term, derivative, 0
    while n < 100000:
        n += 1
        ratio = z / (a + n)
        derivative = derivative * ratio - term * ratio / (a + n)
        term = term * ratio
        total, slope_total = total + term, slope_total + derivative
        if bool(((term <= 1e-17 * total) & (derivative.abs() <= 1e-16 * slope_total.abs())).all()):
            break
    # P = g * total with g = exp(a log z - z - lgamma(a)); the density is g / z.
    return (-z * (total * (z.log() - a.digamma()) + slope_total)).to(x.dtype)


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor) -> Tensor:
        with no_grad():
            out = draw(alpha)
        ctx.save_for_backward(alpha, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        alpha, out = ctx.saved_tensors
        return grads[0] * slope(alpha, out)


def standard_gamma(alpha: Tensor) -> Tensor:
    """Gamma variables of rate 1 and of shape `alpha`."""
    made: Tensor = _StandardGamma.apply(alpha)
    return made
