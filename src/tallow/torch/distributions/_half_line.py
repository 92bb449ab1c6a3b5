"""Distributions on a half of the real line, with draws through which gradients pass."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.factories import full_like
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions._real import HALF_LOG_2PI, Cauchy, Gumbel, Normal, TwoNumbers
from tallow.torch.distributions.utils import (
    broadcast_all,
)


class Exponential(Distribution):
    """Waiting times of events at `rate`."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"rate": C.positive}
    support = C.nonnegative
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

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
        return gap - self.scale.log() - HALF_LOG_2PI - y

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
    _whole: type[TwoNumbers] = Normal

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

    def icdf(self, prob: Tensor) -> Tensor:
        """The quantile."""
        return self._base.icdf((prob + 1) / 2)

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


class Pareto(TwoNumbers):
    """Pareto's distribution from `scale` on."""

    names = ("scale", "alpha")
    arg_constraints: ClassVar[Any] = {"alpha": C.positive, "scale": C.positive}
    alpha: Tensor

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        super().__init__(scale, alpha, validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]  # depends on the numbers
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


class Weibull(TwoNumbers):
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


class Kumaraswamy(TwoNumbers):
    """Kumaraswamy's distribution on (0, 1)."""

    names = ("concentration1", "concentration0")
    arg_constraints: ClassVar[Any] = {
        "concentration1": C.positive, "concentration0": C.positive
    }  # fmt: skip
    support = C.unit_interval
    concentration1: Tensor
    concentration0: Tensor

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        super().__init__(concentration1, concentration0, validate_args)

    def _moment(self, order: int) -> Tensor:
        a, b = self.concentration1, self.concentration0
        up = 1 + order / a
        return b * (up.lgamma() + b.lgamma() - (up + b).lgamma()).exp()

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        """The mode, where there is one."""
        a, b = self.concentration1, self.concentration0
        found = ((a - 1) / (a * b - 1)) ** a.reciprocal()
        return ops.where((a < 1) | (b < 1), float("nan"), found)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self._moment(2) - self._moment(1).square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.icdf(self._uniform(sample_shape, self.concentration1))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        inner = 1 - (1 - value) ** self.concentration0.reciprocal()
        return inner ** self.concentration1.reciprocal()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return 1 - (1 - value**self.concentration1) ** self.concentration0

    def entropy(self) -> Tensor:
        """The entropy."""
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + Gumbel._EULER
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * ops.log1p(-(value**a))
