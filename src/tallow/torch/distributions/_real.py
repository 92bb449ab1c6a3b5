"""Distributions on the real line, with draws through which gradients pass."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.errors import ArgumentError
from tallow.factories import full_like
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions.utils import (
    eps_of,
)

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class TwoNumbers(Distribution):
    """A family with two numbers, named by `names`."""

    has_rsample = True
    names: ClassVar[tuple[str, str]] = ("loc", "scale")
    arg_constraints: ClassVar[Any] = {"loc": C.real, "scale": C.positive}
    support = C.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, **dict(zip(self.names, (loc, scale), strict=True)))

    loc: Tensor
    scale: Tensor

    def _normal(self, sample_shape: Any) -> Tensor:
        return ops.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)

    def _uniform(self, sample_shape: Any, like: Tensor) -> Tensor:
        """Uniform numbers kept off 0 and 1."""
        shape = self._extended_shape(sample_shape)
        return ops.rand(shape, dtype=like.dtype).clamp(eps_of(like) / 2, 1 - eps_of(like) / 2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: quantiles of uniform numbers."""
        return self.icdf(self._uniform(sample_shape, self.__dict__[self.names[0]]))


class Normal(TwoNumbers):
    """The normal distribution of mean `loc` and deviation `scale`."""

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
        return -((value - self.loc) ** 2) / (2 * self.variance) - self.scale.log() - HALF_LOG_2PI

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 0.5 * (1 + ops.erf((value - self.loc) / self.scale / math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self.loc + self.scale * ops.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """The entropy."""
        return 0.5 + HALF_LOG_2PI + self.scale.log()


class Laplace(TwoNumbers):
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


class Cauchy(TwoNumbers):
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


class Gumbel(TwoNumbers):
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


class Uniform(TwoNumbers):
    """Equal density from `low` to `high`."""

    names = ("low", "high")
    arg_constraints: ClassVar[Any] = {"low": C.real, "high": C.real}
    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        super().__init__(low, high, validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ArgumentError("Uniform: expected low below high, got one that is not")

    @property
    def support(self) -> Any:  # type: ignore[override]  # depends on the numbers
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


class StudentT(Distribution):
    """Student's distribution with `df` degrees of freedom."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"df": C.positive, "loc": C.real, "scale": C.positive}
    support = C.real
    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, df=df, loc=loc, scale=scale)

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
