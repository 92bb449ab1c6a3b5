"""Distributions on the real line, or half of it, with draws through which gradients pass."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.tensor import Tensor, full_like
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions.utils import broadcast_all, eps_of

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class _TwoNumbers(Distribution):
    """A family with two numbers, named by `names`."""

    has_rsample = True
    names: ClassVar[tuple[str, str]] = ("loc", "scale")
    arg_constraints: ClassVar[Any] = {"loc": C.real, "scale": C.positive}
    support = C.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        first, second = broadcast_all(loc, scale)
        setattr(self, self.names[0], first)
        setattr(self, self.names[1], second)
        super().__init__(first.shape, (), validate_args)

    loc: Tensor
    scale: Tensor

    def _normal(self, sample_shape: Any) -> Tensor:
        return ops.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)

    def _uniform(self, sample_shape: Any, like: Tensor) -> Tensor:
        """Uniform numbers kept off 0 and 1."""
        shape = self._extended_shape(sample_shape)
        return ops.rand(shape, dtype=like.dtype).clamp(eps_of(like) / 2, 1 - eps_of(like) / 2)


class Normal(_TwoNumbers):
    """The normal distribution of mean `loc` and deviation `scale`."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(loc, scale, validate_args)

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Tensor:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """`scale ** 2`."""
        return self.scale.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.loc + self._normal(sample_shape) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        return -((value - self.loc) ** 2) / (2 * self.variance) - self.scale.log() - _HALF_LOG_2PI

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 0.5 * (1 + ops.erf((value - self.loc) / self.scale / math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self.loc + self.scale * ops.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """The entropy."""
        return 0.5 + _HALF_LOG_2PI + self.scale.log()


class Laplace(_TwoNumbers):
    """The two-sided exponential distribution."""

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return 2 * self.scale.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        u = self._uniform(sample_shape, self.loc) * 2 - 1
        return self.loc - self.scale * u.sign() * ops.log1p(-u.abs())

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        gap = value - self.loc
        return 0.5 - 0.5 * gap.sign() * ops.expm1(-gap.abs() / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        term = value - 0.5
        return self.loc - self.scale * term.sign() * ops.log1p(-2 * term.abs())

    def entropy(self) -> Tensor:
        """The entropy."""
        return 1 + (2 * self.scale).log()


class Cauchy(_TwoNumbers):
    """Cauchy's distribution: no mean, no variance."""

    @property
    def mean(self) -> Tensor:
        """There is none: NaN."""
        return full_like(self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Without bound."""
        return full_like(self.loc, math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.icdf(self._uniform(sample_shape, self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        return (
            -math.log(math.pi)
            - self.scale.log()
            - ((value - self.loc) / self.scale).square().log1p()
        )

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return ops.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return ops.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        """The entropy."""
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_TwoNumbers):
    """Gumbel's distribution of greatest values."""

    _EULER = 0.57721566490153286060

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.loc + self.scale * self._EULER

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return (math.pi**2 / 6) * self.scale.square()

    @property
    def stddev(self) -> Tensor:
        """The deviation."""
        return (math.pi / math.sqrt(6)) * self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.icdf(self._uniform(sample_shape, self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        """The entropy."""
        return self.scale.log() + (1 + self._EULER)


class Uniform(_TwoNumbers):
    """Equal density from `low` to `high`."""

    names = ("low", "high")
    arg_constraints: ClassVar[Any] = {"low": C.real, "high": C.real}
    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        super().__init__(low, high, validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            from tallow.errors import ArgumentError

            raise ArgumentError("Uniform: expected low below high, got one that is not")

    @property
    def support(self) -> Any:  # type: ignore[override]
        """From low to high."""
        return C.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        """There is none: NaN."""
        return self.high * math.nan

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return (self.high - self.low).square() / 12

    @property
    def stddev(self) -> Tensor:
        """The deviation."""
        return (self.high - self.low) / math.sqrt(12)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        u = ops.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        inside = (self.low <= value) & (self.high > value)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        """The entropy."""
        return (self.high - self.low).log()


class Exponential(Distribution):
    """Waiting times of events at `rate`."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"rate": C.positive}
    support = C.nonnegative

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.rate * 0

    @property
    def stddev(self) -> Tensor:
        """The deviation."""
        return self.rate.reciprocal()

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        u = ops.rand(self._extended_shape(sample_shape), dtype=self.rate.dtype)
        return -ops.log1p(-u) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return -ops.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        """The entropy."""
        return 1 - self.rate.log()


class LogNormal(Normal):
    """The exponential of a normal variable."""

    support = C.positive

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        """The variance."""
        s = self.scale.square()
        return ops.expm1(s) * (2 * self.loc + s).exp()

    @property
    def stddev(self) -> Tensor:
        """The deviation."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return (self.loc + self._normal(sample_shape) * self.scale).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        y = value.log()
        gap = -((y - self.loc) ** 2) / (2 * self.scale.square())
        return gap - self.scale.log() - _HALF_LOG_2PI - y

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return super().cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return super().icdf(value).exp()

    def entropy(self) -> Tensor:
        """The entropy."""
        return super().entropy() + self.loc


class HalfNormal(Distribution):
    """The magnitude of a normal variable of mean 0."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"scale": C.positive}
    support = C.nonnegative
    _whole: type[_TwoNumbers] = Normal

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        self._base = self._whole(self.scale * 0, self.scale, validate_args)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.scale * 0

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.scale.square() * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self._base.rsample(sample_shape).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        inside = self._base.log_prob(value) + math.log(2)
        return ops.where(value >= 0, inside, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 2 * self._base.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self._base.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        """The entropy."""
        return self._base.entropy() - math.log(2)


class HalfCauchy(HalfNormal):
    """The magnitude of a Cauchy variable around 0."""

    _whole = Cauchy

    @property
    def mean(self) -> Tensor:
        """Without bound."""
        return full_like(self.scale, math.inf)

    @property
    def variance(self) -> Tensor:
        """Without bound."""
        return full_like(self.scale, math.inf)


class StudentT(Distribution):
    """Student's distribution with `df` degrees of freedom."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"df": C.positive, "loc": C.real, "scale": C.positive}
    support = C.real

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean, where there is one."""
        return ops.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance, where there is one."""
        wide = self.scale.square() * self.df / (self.df - 2)
        some = ops.where(self.df > 2, wide, math.inf)
        return ops.where(self.df <= 1, math.nan, some)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        from tallow.torch.distributions._positive import Chi2

        x = ops.randn(self._extended_shape(sample_shape), dtype=self.df.dtype)
        z = Chi2(self.df).rsample(sample_shape)
        return self.loc + self.scale * (x * ops.rsqrt(z / self.df))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        y = (value - self.loc) / self.scale
        z = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
        z = z + (0.5 * self.df).lgamma() - (0.5 * (self.df + 1)).lgamma()
        return -0.5 * (self.df + 1) * ops.log1p(y.square() / self.df) - z

    def entropy(self) -> Tensor:
        """The entropy."""
        half = 0.5 * self.df
        lbeta = half.lgamma() + math.lgamma(0.5) - (0.5 * (self.df + 1)).lgamma()
        return (
            self.scale.log()
            + 0.5 * (self.df + 1) * ((0.5 * (self.df + 1)).digamma() - half.digamma())
            + 0.5 * self.df.log() + lbeta
        )  # fmt: skip


class Pareto(_TwoNumbers):
    """Pareto's distribution from `scale` on."""

    names = ("scale", "alpha")
    arg_constraints: ClassVar[Any] = {"alpha": C.positive, "scale": C.positive}
    alpha: Tensor

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        super().__init__(scale, alpha, validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        """From `scale` on."""
        return C.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """The variance."""
        a = self.alpha.clamp(min=2)
        return self.scale.square() * a / ((a - 1).square() * (a - 2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        u = self._uniform(sample_shape, self.scale)
        return self.scale * (-u.log() / self.alpha).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        return self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 1 - (self.scale / value) ** self.alpha

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self.scale * (1 - value) ** (-1 / self.alpha)

    def entropy(self) -> Tensor:
        """The entropy."""
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(_TwoNumbers):
    """Weibull's distribution of life times."""

    names = ("scale", "concentration")
    arg_constraints: ClassVar[Any] = {"scale": C.positive, "concentration": C.positive}
    support = C.positive
    concentration: Tensor

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        super().__init__(scale, concentration, validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.scale * (1 + self.concentration.reciprocal()).lgamma().exp()

    @property
    def mode(self) -> Tensor:
        """The mode."""
        k = self.concentration
        return self.scale * ((k - 1) / k) ** k.reciprocal()

    @property
    def variance(self) -> Tensor:
        """The variance."""
        k = self.concentration.reciprocal()
        return self.scale.square() * ((1 + 2 * k).lgamma().exp() - (2 * (1 + k).lgamma()).exp())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.icdf(self._uniform(sample_shape, self.scale))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        k, y = self.concentration, value / self.scale
        return k.log() - self.scale.log() + (k - 1) * y.log() - y**k

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 1 - (-((value / self.scale) ** self.concentration)).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self.scale * (-ops.log1p(-value)) ** self.concentration.reciprocal()

    def entropy(self) -> Tensor:
        """The entropy."""
        k = self.concentration.reciprocal()
        return Gumbel._EULER * (1 - k) + (self.scale * k).log() + 1


class Kumaraswamy(_TwoNumbers):
    """Kumaraswamy's distribution on (0, 1)."""

    names = ("concentration1", "concentration0")
    arg_constraints: ClassVar[Any] = {
        "concentration1": C.positive, "concentration0": C.positive
    }  # fmt: skip
    support = C.unit_interval
    concentration1: Tensor
    concentration0: Tensor

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        u = self._uniform(sample_shape, self.concentration1)
        inner = 1 - (1 - u) ** self.concentration0.reciprocal()
        return inner ** self.concentration1.reciprocal()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * ops.log1p(-(value**a))
