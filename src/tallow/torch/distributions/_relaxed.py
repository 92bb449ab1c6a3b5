"""Distributions that make choices smooth, so that gradients pass through draws."""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions._choices import Categorical, Odds, OfChoices
from tallow.torch.distributions.utils import (
    broadcast_all,
    clamp_probs,
    eps_of,
)


class ContinuousBernoulli(Odds):
    """Numbers in [0, 1] of density `p ** x * (1 - p) ** (1 - x)`, normalised (arXiv 1907.06845)."""

    has_rsample = True
    support = C.unit_interval

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._given(probs, logits)
        if logits is None:
            self.__dict__["probs"] = clamp_probs(given)
        self._lims = lims
        Distribution.__init__(self, given.shape, (), validate_args)

    def _outside(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Tensor:
        return ops.where(self._outside(), self.probs, self._lims[0])

    def _log_constant(self) -> Tensor:
        cut = self._cut()
        low = ops.where(cut <= 0.5, cut, 0.0)
        high = ops.where(cut >= 0.5, cut, 1.0)
        inner = ops.where(cut <= 0.5, ops.log1p(-2 * low), (2 * high - 1).log())
        norm = (ops.log1p(-cut) - cut.log()).abs().log() - inner
        x = (self.probs - 0.5).square()
        near = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return ops.where(self._outside(), norm, near)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        cut = self._cut()
        whole = cut / (2 * cut - 1) + 1 / (ops.log1p(-cut) - cut.log())
        x = self.probs - 0.5
        near = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.square()) * x
        return ops.where(self._outside(), whole, near)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        cut = self._cut()
        whole = cut * (cut - 1) / (1 - 2 * cut).square()
        whole = whole + 1 / (ops.log1p(-cut) - cut.log()).square()
        x = (self.probs - 0.5).square()
        near = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return ops.where(self._outside(), whole, near)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        p = self.probs
        u = ops.rand(self._extended_shape(sample_shape), dtype=p.dtype)
        return self.icdf(u.clamp(eps_of(p), 1 - eps_of(p)))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        cut = self._cut()
        top = ops.log1p(-cut + value * (2 * cut - 1)) - ops.log1p(-cut)
        return ops.where(self._outside(), top / (cut.log() - ops.log1p(-cut)), value)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        cut = self._cut()
        whole = (cut**value * (1 - cut) ** (1 - value) + cut - 1) / (2 * cut - 1)
        inside = ops.where(self._outside(), whole, value)
        return ops.where(value <= 0, 0.0, ops.where(value >= 1, 1.0, inside))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        loss = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -loss + self._log_constant()

    def entropy(self) -> Tensor:
        """The entropy."""
        low, high = ops.log1p(-self.probs), self.probs.log()
        return self.mean * (low - high) - self._log_constant() - low


class LogitRelaxedBernoulli(Odds):
    """The logit of a RelaxedBernoulli."""

    has_rsample = True
    support = C.real

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        p = clamp_probs(self.probs.expand(self._extended_shape(sample_shape)))
        u = clamp_probs(ops.rand(p.shape, dtype=p.dtype))
        return (u.log() - ops.log1p(-u) + p.log() - ops.log1p(-p)) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        logits, value = broadcast_all(self.logits, value)
        gap = logits - value * self.temperature
        scale = (
            self.temperature.log()
            if isinstance(self.temperature, Tensor)
            else math.log(self.temperature)
        )
        return scale + gap - 2 * ops.log1p(gap.exp())


class RelaxedBernoulli(LogitRelaxedBernoulli):
    """A Bernoulli variable made smooth (arXiv 1611.00712)."""

    support = C.unit_interval

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return super().rsample(sample_shape).sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        kept = clamp_probs(value)
        inside = kept.log() - ops.log1p(-kept)
        return super().log_prob(inside) - kept.log() - ops.log1p(-kept)


class RelaxedOneHotCategorical(OfChoices):
    """A choice made smooth (arXiv 1611.00712)."""

    has_rsample = True
    support = C.simplex

    def __init__(
        self, temperature: Any, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = temperature
        self._choose(Categorical(probs, logits, validate_args), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(ops.rand(shape, dtype=self.logits.dtype))
        return F.softmax((self.logits - (-u.log()).log()) / self.temperature, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        k, t = self._event_shape[0], self.temperature
        logits, y = broadcast_all(self.logits, value.log())
        log_t = t.log() if isinstance(t, Tensor) else math.log(t)
        score = logits - y * t
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1)
        return score + math.lgamma(k) + log_t * (k - 1) - y.sum(-1)
