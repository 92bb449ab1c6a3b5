"""Special functions: error, gamma and Bessel functions, entropy, normal distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, GradError, expect
from ..factories import full
from ..registry import OPS, op
from ..tensor import Tensor
from .elementwise_rows import kernel_row, quick_row, row
from .elementwise_three import where

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
        gone = row("logical_and")(a == 0, b <= 0)
        return where(gone, 0, g * log)

    return first, lambda: g * (a / b)


def _xlog1py(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def first() -> Tensor:
        log = b.log1p() if isinstance(b, Tensor) else math.log1p(b) if b > -1 else -math.inf
        return where(row("logical_and")(a == 0, b <= -1), 0, g * log)

    return first, lambda: g * (a / (b + 1))


def _i1(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    return g * where(x == 0, 0.5, _i0(x) - out / x)


def _i1e(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    return g * where(x == 0, 0.5, _i0e(x) - out * (x.sign() + 1 / x))


for _name, _doc, _rule in (
    ("erf", "The error function.", lambda g, x: g * (x * -x).exp() * (2 / _ROOT_PI)),
    ("erfc", "`1 - erf(x)`, exact where that is small.",
     lambda g, x: g * (x * -x).exp() * (-2 / _ROOT_PI)),
    ("erfinv", "The inverse of erf, for `x` in [-1, 1].",
     lambda g, _x, out: g * (out * out).exp() * (_ROOT_PI / 2)),
    ("lgamma", "The logarithm of the absolute value of the gamma function.",
     lambda g, x: g * x.digamma()),
    ("digamma", "The derivative of lgamma.", lambda g, x: g * row("polygamma")(1, x)),
    ("i0", "The modified Bessel function of the first kind, of order 0.",
     lambda g, x: g * row("special.i1")(x)),
):  # fmt: skip
    kernel_row(__name__, _name, 1, _doc, _rule, copied=("out",) if _name == "erfinv" else ())

_i0 = OPS["i0"]
_i0e = quick_row("i0e", 1, lambda g, x, out: g * (row("special.i1e")(x) - x.sign() * out))
_i1_of = quick_row("i1", 1, _i1)
_i1e_of = quick_row("i1e", 1, _i1e)
_ndtri = quick_row(
    "ndtri", 1, lambda g, _x, out: g * (out * out * 0.5).exp() * math.sqrt(2 * math.pi)
)
_erfcx = quick_row("erfcx", 1, lambda g, x, out: g * (x * out * 2 - 2 / _ROOT_PI))
_log_ndtr = quick_row(
    "log_ndtr", 1, lambda g, x: g * (math.sqrt(2 / math.pi) / _erfcx(x * -math.sqrt(0.5)))
)


def _zeta_slopes(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
    def by_power() -> Tensor:
        raise GradError("special.zeta: expected `input` without gradient, which has no formula")

    return by_power, lambda: g * (-a * _zeta(a + 1, b))


_zeta = quick_row("zeta", 2, _zeta_slopes)


def _bessel(order: int, kind: str) -> Callable[..., Tensor]:
    """The Bessel function of a kind and order 0 or 1, whose derivatives are made of both."""

    def first(g: Tensor, x: Tensor) -> Tensor:
        return g * -_BESSEL[f"{kind}1"](x)

    def second(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
        flat = 0.5 if kind == "j" else math.nan
        return g * where(x == 0, flat, _BESSEL[f"{kind}0"](x) - out / x)

    return quick_row(f"bessel_{kind}{order}", 1, second if order else first)


_BESSEL = {f"{kind}{order}": _bessel(order, kind) for kind in "jy" for order in (0, 1)}


def _incomplete_gamma(name: str, sign: int) -> Callable[..., Any]:
    def rule(g: Tensor, a: Any, b: Any) -> tuple[Any, Any]:
        def by_order() -> Tensor:
            raise GradError(f"{name}: expected an order without gradient, which has no formula")

        def by_bound() -> Tensor:
            order: Tensor = a if isinstance(a, Tensor) else full((), a, b.dtype)
            density: Tensor = ((order - 1) * b.log() - b - order.lgamma()).exp()
            return g * density * sign

        return by_order, by_bound

    return rule


for _name, _side, _sign in (("igamma", "lower", 1), ("igammac", "upper", -1)):
    kernel_row(
        __name__, _name, 2,
        f"The regularised {_side} incomplete gamma function of order `a` at `b`.",
        _incomplete_gamma(_name, _sign),
    )  # fmt: skip

kernel_row(__name__, "xlogy", 2, "`a * log(b)`, 0 where `a` is 0.", _xlogy)
_xlog1py_of = quick_row("xlog1py", 2, _xlog1py)


@op
def polygamma(n: int, x: Tensor) -> Tensor:
    """The derivative of order `n` of digamma."""
    if n == 0:
        return x.digamma()
    return _zeta(float(n + 1), x) * (math.factorial(n) * (-1.0) ** (n + 1))


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
    return where(x < 0, -math.inf, -row("xlogy")(x, where(x > 0, x, 1)))


@entr.grad
def _(g: Tensor, input: Tensor) -> Tensor:
    return g * -(input.log() + 1)


@op(name="special.ndtr")
def ndtr(input: Tensor) -> Tensor:
    """The standard normal distribution function."""
    return row("erfc")(input * -math.sqrt(0.5)) * 0.5


@op(name="special.ndtri")
def ndtri(input: Tensor) -> Tensor:
    """The standard normal quantile: the inverse of ndtr."""
    return _ndtri(input)


@op(name="special.log_ndtr")
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of ndtr, exact far below 0 too."""
    return _log_ndtr(input)


@op(name="special.erfcx")
def erfcx(input: Tensor) -> Tensor:
    """`exp(x²) * erfc(x)`."""
    return _erfcx(input)


@op(name="special.i0e")
def i0e(input: Tensor) -> Tensor:
    """`exp(-|x|) * i0(x)`."""
    return _i0e(input)


@op(name="special.i1")
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 1."""
    return _i1_of(input)


@op(name="special.i1e")
def i1e(input: Tensor) -> Tensor:
    """`exp(-|x|) * i1(x)`."""
    return _i1e_of(input)


@op(name="special.xlog1py")
def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input * log(1 + other)`, 0 where `input` is 0."""
    return _xlog1py_of(input, other)


@op(name="special.zeta")
def zeta(input: Tensor | float, other: Tensor | float) -> Tensor:
    """The Hurwitz zeta function: the sum of `(other + k) ** -input` over k from 0 up."""
    return _zeta(input, other)


@op(name="special.bessel_j0")
def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 0."""
    return _BESSEL["j0"](input)


@op(name="special.bessel_j1")
def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function of the first kind, of order 1."""
    return _BESSEL["j1"](input)


@op(name="special.bessel_y0")
def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 0: NaN below 0, -inf at 0."""
    return _BESSEL["y0"](input)


@op(name="special.bessel_y1")
def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function of the second kind, of order 1: NaN below 0, -inf at 0."""
    return _BESSEL["y1"](input)
