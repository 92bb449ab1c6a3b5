"""Special functions: error, gamma and Bessel functions, entropy, normal distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, GradError, expect
from ..factories import full
from ..registry import Op, op
from ..tensor import Tensor
from .elementwise_ops import define_elementwise, op_named
from .elementwise_ternary import where

_ROOT_PI = math.sqrt(math.pi)


def _xlogy(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def first() -> Tensor:
        log = (
            b.log()
            if isinstance(b, Tensor)
            else math.log(b)
            if b > 0
            else -math.inf
            if b == 0
            else math.nan
        )
        gone = op_named("logical_and")(a == 0, b <= 0)
        return where(gone, 0, g * log)

    return first, lambda: g * (a / b)


for _name, _doc, _gradient in (
    ("erf", "The error function.", lambda g, x: g * (x * -x).exp() * (2 / _ROOT_PI)),
    ("erfc", "`1 - erf(x)`, exact where that is small.",
     lambda g, x: g * (x * -x).exp() * (-2 / _ROOT_PI)),
    ("erfinv", "The inverse of erf, for `x` in [-1, 1].",
     lambda g, _x, out: g * (out * out).exp() * (_ROOT_PI / 2)),
    ("lgamma", "The logarithm of the absolute value of the gamma function.",
     lambda g, x: g * x.digamma()),
    ("digamma", "The derivative of lgamma.", lambda g, x: g * op_named("polygamma")(1, x)),
    ("i0", "The modified Bessel function of the first kind, of order 0.",
     lambda g, x: g * op_named("special.i1")(x)),
):  # fmt: skip
    define_elementwise(
        __name__, _name, 1, _doc, _gradient, copied=("out",) if _name == "erfinv" else ()
    )


def _incomplete_gamma(name: str, sign: int) -> Callable[..., Any]:
    def gradient(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
        def by_order() -> Tensor:
            raise GradError(f"{name}: expected an order without gradient, which has no formula")

        def by_bound() -> Tensor:
            order: Tensor = a if isinstance(a, Tensor) else full((), a, b.dtype)
            density: Tensor = ((order - 1) * b.log() - b - order.lgamma()).exp()
            return g * density * sign

        return by_order, by_bound

    return gradient


for _name, _side, _sign in (("igamma", "lower", 1), ("igammac", "upper", -1)):
    define_elementwise(
        __name__, _name, 2,
        f"The regularised {_side} incomplete gamma function of order `a` at `b`.",
        _incomplete_gamma(_name, _sign),
    )  # fmt: skip

define_elementwise(__name__, "xlogy", 2, "`a * log(b)`, 0 where `a` is 0.", _xlogy)


@op
def polygamma(n: int, x: Tensor) -> Tensor:
    """The derivative of order `n` of digamma."""
    if n == 0:
        return x.digamma()
    return zeta(float(n + 1), x) * (math.factorial(n) * (-1.0) ** (n + 1))


@polygamma.check
def _(n: int, x: Tensor) -> None:
    expect(0 <= n <= 170, polygamma, "an order from 0 to 170, whose factorial f64 holds", n,
           ArgumentError)  # fmt: skip


@polygamma.grad
def _(g: Tensor, n: int, x: Tensor) -> Tensor:
    return g * polygamma(n + 1, x)


@op(inplace=True)
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """`log(x / (1 - x))`, with `x` first limited to [eps, 1 - eps] if that is given."""
    if x.dtype.kind != "f":
        x = x.to("f32")
    if eps is not None:
        x = x.clamp(eps, 1 - eps)
    return (x / (1 - x)).log()


@logit.grad
def _(g: Tensor, x: Tensor, eps: float | None) -> Tensor:
    low, beyond = (0.0, math.nan) if eps is None else (eps, 0.0)
    return where((x >= low) & (x <= 1 - low), g / (x * (1 - x)), beyond)


@op(inplace=True)
def sinc(x: Tensor) -> Tensor:
    """`sin(pi x) / (pi x)`, 1 at 0."""
    half = x.dtype.kind == "f" and x.dtype.itemsize == 2
    turned = (x.to("f32") if half else x) * math.pi
    zero = turned == 0
    safe = where(zero, 1, turned)
    # At 0 the slope is 0, its derivative -pi² / 3: the polynomial has both.
    out = where(zero, 1 - turned * turned / 6, safe.sin() / safe)
    return out.to(x.dtype) if half else out


@op(inplace=True)
def mvlgamma(x: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`."""
    expect(1 <= p <= 65536, mvlgamma, "a dimension from 1 to 65536", p, ArgumentError)
    out: Any = p * (p - 1) / 4 * math.log(math.pi)
    for j in range(p):
        out = (x - j / 2).lgamma() + out
    total: Tensor = out
    return total


@op(name="special.entr")
def entr(input: Tensor) -> Tensor:
    """`-x * log(x)`: 0 at 0, -inf below."""
    x = input if input.dtype.kind == "f" else input.to("f32")
    return where(x < 0, -math.inf, -op_named("xlogy")(x, where(x > 0, x, 1)))


@entr.grad
def _(g: Tensor, input: Tensor) -> Tensor:
    return g * -(input.log() + 1)


@op(name="special.ndtr")
def ndtr(input: Tensor) -> Tensor:
    """The standard normal distribution function."""
    return op_named("erfc")(input * -math.sqrt(0.5)) * 0.5


@op(name="special.ndtri")
def ndtri(input: Tensor) -> Tensor:
    """The standard normal quantile: the inverse of ndtr."""
    ...


ndtri.kernel("ndtri")


@ndtri.grad
def _(g: Tensor, _input: Tensor, out: Tensor) -> Tensor:
    return g * (out * out * 0.5).exp() * math.sqrt(2 * math.pi)


@op(name="special.log_ndtr")
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of ndtr, exact far below 0 too."""
    ...


log_ndtr.kernel("log_ndtr")


@log_ndtr.grad
def _(g: Tensor, input: Tensor) -> Tensor:
    return g * (math.sqrt(2 / math.pi) / erfcx(input * -math.sqrt(0.5)))


@op(name="special.erfcx")
def erfcx(input: Tensor) -> Tensor:
    """`exp(x²) * erfc(x)`."""
    ...


erfcx.kernel("erfcx")


@erfcx.grad
def _(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return g * (input * out * 2 - 2 / _ROOT_PI)


@op(name="special.i0e")
def i0e(input: Tensor) -> Tensor:
    """`exp(-|x|) * i0(x)`."""
    ...


i0e.kernel("i0e")


@i0e.grad
def _(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return g * (i1e(input) - input.sign() * out)


@op(name="special.i1")
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 1."""
    ...


i1.kernel("i1")


@i1.grad
def _(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return g * where(input == 0, 0.5, op_named("i0")(input) - out / input)


@op(name="special.i1e")
def i1e(input: Tensor) -> Tensor:
    """`exp(-|x|) * i1(x)`."""
    ...


i1e.kernel("i1e")


@i1e.grad
def _(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return g * where(input == 0, 0.5, i0e(input) - out * (input.sign() + 1 / input))


@op(name="special.xlog1py")
def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input * log(1 + other)`, 0 where `input` is 0."""
    ...


xlog1py.kernel("xlog1py")


@xlog1py.grad
def _(g: Tensor, input: Any, other: Any) -> tuple[Any, Any]:
    def first() -> Tensor:
        if isinstance(other, Tensor):
            log: Any = other.log1p()
        else:
            log = math.log1p(other) if other > -1 else -math.inf
        return where(op_named("logical_and")(input == 0, other <= -1), 0, g * log)

    return first, lambda: g * (input / (other + 1))


@op(name="special.zeta")
def zeta(input: Tensor | float, other: Tensor | float) -> Tensor:
    """The Hurwitz zeta function: the sum of `(other + k) ** -input` over k from 0 up."""
    ...


zeta.kernel("zeta")


@zeta.grad
def _(g: Tensor, input: Any, other: Any) -> tuple[Any, Any]:
    def by_power() -> Tensor:
        raise GradError("special.zeta: expected `input` without gradient, which has no formula")

    return by_power, lambda: g * (-input * zeta(input + 1, other))


@op(name="special.bessel_j0")
def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 0."""
    ...


@op(name="special.bessel_j1")
def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 1."""
    ...


@op(name="special.bessel_y0")
def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 0: NaN below 0, -inf at 0."""
    ...


@op(name="special.bessel_y1")
def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 1: NaN below 0, -inf at 0."""
    ...


def _bessel_grads(zeroth: Op[..., Tensor], first: Op[..., Tensor], slope_at_0: float) -> None:
    """Attach kernels and gradients of one kind, whose derivatives are made of both orders."""
    for made in (zeroth, first):
        made.kernel(made.__name__.removeprefix("special."))

    @zeroth.grad
    def _(g: Tensor, input: Tensor) -> Tensor:
        return g * -first(input)

    @first.grad
    def _(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
        return g * where(input == 0, slope_at_0, zeroth(input) - out / input)


_bessel_grads(bessel_j0, bessel_j1, 0.5)
_bessel_grads(bessel_y0, bessel_y1, math.nan)
