"""What lies beyond a bound: the generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution


class GeneralizedPareto(Distribution):
    """Exponential at concentration 0, with a heavier tail above it, a bounded one below."""

    has_rsample = True
    arg_constraints: ClassVar[Any] = {
        "loc": C.real, "scale": C.positive, "concentration": C.real,
    }  # fmt: skip
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @property
    def support(self) -> Any:
        """From `loc` up, to where a negative concentration ends."""
        end = self.loc - self.scale / self.concentration
        return C.interval(self.loc, ops.where(self.concentration < 0, end, math.inf))

    def _safe(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is 0 as far as it counts, and what to divide by elsewhere."""
        zero = self.concentration.abs() <= 1e-8
        return zero, ops.where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.icdf(ops.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        zero, k = self._safe()
        z = (value - self.loc) / self.scale
        return -self.scale.log() - ops.where(zero, z, (1 / k + 1) * ops.log1p(k * z))

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than `value`."""
        self._validate_sample(value)
        zero, k = self._safe()
        z = (value - self.loc) / self.scale
        return ops.where(zero, -z, -ops.log1p(k * z) / k)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of `cdf`."""
        return ops.log1p(-self.log_survival_function(value).exp())

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return -ops.expm1(self.log_survival_function(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        zero, k = self._safe()
        log = ops.log1p(-value)
        return self.loc + self.scale * ops.where(zero, -log, ops.expm1(-k * log) / k)

    @property
    def mean(self) -> Tensor:
        """NaN where there is none: from concentration 1 up."""
        k = self.concentration
        return ops.where(k < 1, self.loc + self.scale / (1 - ops.where(k < 1, k, 0.5)), math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN where there is none: from concentration 1/2 up."""
        k = ops.where(self.concentration < 0.5, self.concentration, 0.25)
        value = self.scale.square() / ((1 - k).square() * (1 - 2 * k))
        return ops.where(self.concentration < 0.5, value, math.nan)

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    def entropy(self) -> Tensor:
        """The entropy."""
        return self.scale.log() + self.concentration + 1
