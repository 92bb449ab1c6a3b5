"""Distributions of counts and choices."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.tensor import Tensor, arange, full_like
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions.utils import (
    broadcast_all,
    clamp_probs,
    eps_of,
    logits_to_probs,
    probs_to_logits,
)


class _Odds(Distribution):
    """A family given by probabilities or by logits."""

    binary = True
    arg_constraints: ClassVar[Any] = {"probs": C.unit_interval, "logits": C.real}

    def _given(self, probs: Any, logits: Any) -> Tensor:
        one = (probs is None) != (logits is None)
        expect(one, type(self), "either probs or logits", "both or none", ArgumentError)
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        (made,) = broadcast_all(value)
        self.__dict__[name] = made
        return made

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if name == "probs" and "logits" in own:
            return logits_to_probs(own["logits"], self.binary)
        if name == "logits" and "probs" in own:
            return probs_to_logits(own["probs"], self.binary)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class Bernoulli(_Odds):
    """1 with probability `probs`, else 0."""

    support = C.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(self._given(probs, logits).shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """`probs`."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likelier one; NaN for a draw."""
        p = self.probs
        return ops.where(p == 0.5, math.nan, (p >= 0.5).to(p.dtype))

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            return ops.bernoulli(self.probs.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Tensor:
        """The entropy."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        values = arange(2).to(self.mean.dtype).reshape(-1, *([1] * len(self._batch_shape)))
        return values.expand(-1, *self._batch_shape) if expand else values


class Categorical(_Odds):
    """A choice among the entries of the last axis."""

    binary = False
    has_enumerate_support = True
    arg_constraints: ClassVar[Any] = {"logits": C.real_vector}

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._given(probs, logits)
        expect(given.ndim > 0, Categorical, "at least one axis", "a number", ArgumentError)
        if logits is None:
            with no_grad():
                good = bool((given >= 0).all()) and bool((given.sum(-1) > 0).all())
            expect(good or not self._validate_args, Categorical, "probabilities of at least 0",
                   "others", ArgumentError)  # fmt: skip
            self.__dict__["probs"] = given / given.sum(-1, keepdim=True)
        else:
            self.__dict__["logits"] = given - given.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], (), validate_args)

    @property
    def param_shape(self) -> Any:
        """The shape of the probabilities."""
        return self.probs.shape

    @property
    def support(self) -> Any:
        """The numbers of the entries."""
        return C.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        """There is none: NaN."""
        return self.probs[..., 0] * math.nan

    variance = mean

    @property
    def mode(self) -> Tensor:
        """The likeliest."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            rows = self.probs.detach().reshape(-1, self._num_events)
            count = math.prod(tuple(sample_shape))
            drawn = ops.multinomial(rows, max(count, 1), True).t()
            return drawn[:count].reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        index = value.long().unsqueeze(-1)
        logits = self.logits
        shape = ops.broadcast_tensors(index[..., 0], logits[..., 0])[0].shape
        full = logits.expand(*shape, self._num_events)
        return full.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        logits = self.logits.clamp(min=-3.4028234663852886e38)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All numbers."""
        values = arange(self._num_events).reshape(-1, *([1] * len(self._batch_shape)))
        return values.expand(-1, *self._batch_shape) if expand else values


class OneHotCategorical(Distribution):
    """A choice as a vector with one 1."""

    support = C.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self._categorical = Categorical(probs, logits, validate_args)
        shape = (*self._categorical._batch_shape, self._categorical._num_events)
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likeliest."""
        return ops.one_hot(self.probs.argmax(-1), self.probs.shape[-1]).to(self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        drawn = self._categorical.sample(sample_shape)
        return ops.one_hot(drawn, self._event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        """The entropy."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All vectors."""
        n = self._event_shape[0]
        values = ops.eye(n, dtype=self.probs.dtype).reshape(n, *([1] * len(self._batch_shape)), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """As its base; gradients of draws go to the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(Distribution):
    """How often each entry came in `total_count` choices."""

    def __init__(
        self, total_count: int = 1, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        expect(isinstance(total_count, int), Multinomial, "one total_count", total_count,
               ArgumentError)  # fmt: skip
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        shape = (*self._categorical._batch_shape, self._categorical._num_events)
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        drawn = self._categorical.sample((self.total_count, *tuple(sample_shape)))
        return ops.one_hot(drawn, self._event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        logits, value = broadcast_all(self.logits, value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        logits = ops.where((value == 0) & ops.isneginf(logits), 0.0, logits)
        return ways + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        """The entropy."""
        n = full_like(self.probs[..., 0], float(self.total_count))
        count = arange(self.total_count + 1).to(self.probs.dtype)
        whole = count.reshape(-1, *([1] * self.probs.ndim))
        weight = Binomial(self.total_count, self.probs).log_prob(whole).exp()
        inner = (weight * (whole + 1).lgamma()).sum((0, -1))
        return self.total_count * self._categorical.entropy() - (n + 1).lgamma() + inner


class Binomial(_Odds):
    """How often of `total_count` times it was 1."""

    has_enumerate_support = True
    arg_constraints: ClassVar[Any] = {"probs": C.unit_interval, "logits": C.real}

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._given(probs, logits)
        name = "probs" if logits is None else "logits"
        self.__dict__[name], count = broadcast_all(given, total_count)
        self.total_count = count.to(given.dtype)
        super().__init__(self.__dict__[name].shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            shape = self._extended_shape(sample_shape)
            most = int(self.total_count.max()) if self.total_count.numel() else 0
            u = ops.rand((most, *shape), dtype=self.mean.dtype)
            index = arange(most).reshape(-1, *([1] * len(shape)))
            hit = (u < self.probs) & (index < self.total_count)
            return hit.sum(0).to(self.mean.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        normalised = n * logits.clamp(min=0) + n * ops.log1p((-logits.abs()).exp())
        return value * logits - normalised + ways

    def entropy(self) -> Tensor:
        """The entropy, of one total_count."""
        n = int(self.total_count.max())
        same = bool((self.total_count == n).all())
        expect(same, "Binomial.entropy", "one total_count", "several", ArgumentError)
        p = self.log_prob(self.enumerate_support(False))
        return -(p.exp() * p).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 to the total count."""
        n = int(self.total_count.max())
        values = arange(n + 1).to(self.mean.dtype).reshape(-1, *([1] * len(self._batch_shape)))
        return values.expand(-1, *self._batch_shape) if expand else values


class NegativeBinomial(_Odds):
    """How many times 1 came before `total_count` times 0."""

    support = C.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._given(probs, logits)
        name = "probs" if logits is None else "logits"
        self.__dict__[name], self.total_count = broadcast_all(given, total_count)
        super().__init__(self.__dict__[name].shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        """The mode."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        from tallow.torch.distributions._positive import Gamma

        with no_grad():
            rate = Gamma(self.total_count, (-self.logits).exp(), False).sample(sample_shape)
            return ops.poisson(rate)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        n = self.total_count
        inside = n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        ways = (n + value).lgamma() - (1 + value).lgamma() - n.lgamma()
        return inside + ops.where(n + value == 0, 0.0, ways)


class Geometric(_Odds):
    """How many times 0 came before the first 1."""

    support = C.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(self._given(probs, logits).shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        """0."""
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            p = self.probs
            u = ops.rand(self._extended_shape(sample_shape), dtype=p.dtype).clamp(min=1e-38)
            return (u.log() / ops.log1p(-p)).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        value, p = broadcast_all(value, self.probs)
        p = ops.where((p == 1) & (value == 0), 0.0, p)
        return value * ops.log1p(-p) + self.probs.log()

    def entropy(self) -> Tensor:
        """The entropy."""
        return (
            F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
            / self.probs
        )


class Poisson(Distribution):
    """How many events came at `rate`."""

    arg_constraints: ClassVar[Any] = {"rate": C.nonnegative}
    support = C.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        """`rate`."""
        return self.rate

    variance = mean

    @property
    def mode(self) -> Tensor:
        """The whole part of the rate."""
        return self.rate.floor()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            return ops.poisson(self.rate.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return ops.xlogy(value, rate) - rate - (value + 1).lgamma()


class ContinuousBernoulli(_Odds):
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
        super().__init__(given.shape, (), validate_args)

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


class LogitRelaxedBernoulli(_Odds):
    """The logit of a RelaxedBernoulli."""

    has_rsample = True
    support = C.real

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = temperature
        super().__init__(self._given(probs, logits).shape, (), validate_args)

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


class RelaxedOneHotCategorical(Distribution):
    """A choice made smooth (arXiv 1611.00712)."""

    has_rsample = True
    support = C.simplex

    def __init__(
        self, temperature: Any, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = temperature
        self._categorical = Categorical(probs, logits, validate_args)
        shape = (*self._categorical._batch_shape, self._categorical._num_events)
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

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
