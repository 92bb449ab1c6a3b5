"""Gamma, Beta, Dirichlet and their kin."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions._gamma import standard_gamma
from tallow.torch.distributions.utils import broadcast_all


class Gamma(Distribution):
    """Gamma's distribution of shape `concentration` and `rate`."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"concentration": C.positive, "rate": C.positive}
    support = C.nonnegative
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        return standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.concentration, self.rate
        return ops.xlogy(a, b) + ops.xlogy(a - 1, value) - b * value - a.lgamma()

    def entropy(self) -> Tensor:
        """The entropy."""
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        self._validate_sample(value)
        return ops.igamma(self.concentration, self.rate * value)


class Chi2(Gamma):
    """The sum of `df` squares of standard normal variables."""

    arg_constraints: ClassVar[Any] = {"df": C.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = broadcast_all(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class InverseGamma(Gamma):
    """One over a Gamma variable."""

    support = C.positive

    @property
    def mean(self) -> Tensor:
        """The mean."""
        a = self.concentration
        return ops.where(a > 1, self.rate / (a - 1), float("inf"))

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        a = self.concentration
        return ops.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), float("inf"))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return super().rsample(sample_shape).reciprocal()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.concentration, self.rate
        return a * b.log() - (a + 1) * value.log() - b / value - a.lgamma()

    def entropy(self) -> Tensor:
        """The entropy."""
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        self._validate_sample(value)
        return ops.igammac(self.concentration, self.rate / value)


class FisherSnedecor(Distribution):
    """The ratio of two Chi2 variables over their degrees of freedom."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {"df1": C.positive, "df2": C.positive}
    support = C.positive
    df1: Tensor
    df2: Tensor

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, df1=df1, df2=df2)

    @property
    def mean(self) -> Tensor:
        """The mean, where there is one."""
        return ops.where(self.df2 > 2, self.df2 / (self.df2 - 2), float("nan"))

    @property
    def mode(self) -> Tensor:
        """The mode, where there is one."""
        a, b = self.df1, self.df2
        return ops.where(a > 2, (a - 2) / a * b / (b + 2), float("nan"))

    @property
    def variance(self) -> Tensor:
        """The variance, where there is one."""
        a, b = self.df1, self.df2
        found = 2 * b.square() * (a + b - 2) / (a * (b - 2).square() * (b - 4))
        return ops.where(b > 4, found, float("nan"))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        first = Chi2(self.df1).rsample(sample_shape) / self.df1
        return first / (Chi2(self.df2).rsample(sample_shape) / self.df2)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        t1 = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return t1 + a * ratio.log() + (a - 1) * value.log() - (a + b) * ops.log1p(ratio * value)


class Dirichlet(Distribution):
    """Dirichlet's distribution of shares that sum to 1."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {
        "concentration": C.Constraint("positive vectors", lambda x: (x > 0).all(-1), axes=1)
    }
    support = C.simplex

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        expect(concentration.ndim > 0, Dirichlet, "a vector of concentrations", "a number",
               ArgumentError)  # fmt: skip
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        x = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        return x / x.sum(-1, keepdim=True)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        """The mode; of all concentrations below 1 the corner of the greatest."""
        less = (self.concentration - 1).clamp(min=0)
        mode = less / less.sum(-1, keepdim=True)
        below = (self.concentration < 1).all(-1, keepdim=True)
        corner = ops.one_hot(mode.nan_to_num().argmax(-1), mode.shape[-1]).to(mode.dtype)
        return ops.where(below, corner, mode)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        total = self.concentration.sum(-1, keepdim=True)
        a = self.concentration
        return a * (total - a) / (total.square() * (total + 1))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a = self.concentration
        return ops.xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        out = a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma()
        return out - ((a - 1) * a.digamma()).sum(-1)


class Beta(Distribution):
    """Beta's distribution on (0, 1)."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {
        "concentration1": C.positive, "concentration0": C.positive
    }  # fmt: skip
    support = C.unit_interval
    concentration1: Tensor
    concentration0: Tensor

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    @property
    def _pair(self) -> Dirichlet:
        return Dirichlet(ops.stack([self.concentration1, self.concentration0], -1))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return self._pair.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        """The variance."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self._pair.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        norm = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return ops.xlogy(a - 1, value) + ops.xlogy(b - 1, 1 - value) + norm

    def entropy(self) -> Tensor:
        """The entropy."""
        return self._pair.entropy()
