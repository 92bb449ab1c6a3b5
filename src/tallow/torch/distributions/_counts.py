"""Distributions of counts."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full_like
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions._choices import Categorical, Odds, OfChoices
from tallow.torch.distributions.utils import (
    broadcast_all,
)


class _Counted(Odds):
    """A family of odds and of a count, of one shape."""

    def _counted(self, total_count: Any, probs: Any, logits: Any) -> tuple[Tensor, Tensor]:
        given, count = broadcast_all(self._given(probs, logits), total_count)
        self.__dict__["probs" if logits is None else "logits"] = given
        return given, count


class Binomial(_Counted):
    """How often of `total_count` times it was 1."""

    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given, count = self._counted(total_count, probs, logits)
        self.total_count = count.to(given.dtype)
        Distribution.__init__(self, given.shape, (), validate_args)

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
        return self._along_batch(arange(n + 1).to(self.mean.dtype), expand)


class NegativeBinomial(_Counted):
    """How many times 1 came before `total_count` times 0."""

    support = C.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given, self.total_count = self._counted(total_count, probs, logits)
        Distribution.__init__(self, given.shape, (), validate_args)

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


class Geometric(Odds):
    """How many times 0 came before the first 1."""

    support = C.nonnegative_integer

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
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

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


class Multinomial(OfChoices):
    """How often each entry came in `total_count` choices."""

    def __init__(
        self, total_count: int = 1, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        expect(isinstance(total_count, int), Multinomial, "one total_count", total_count,
               ArgumentError)  # fmt: skip
        self.total_count = total_count
        self._choose(Categorical(probs, logits), validate_args)

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
