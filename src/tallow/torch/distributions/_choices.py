"""Distributions of choices, among two or among many."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions.utils import (
    broadcast_all,
    logits_to_probs,
    probs_to_logits,
)


class Odds(Distribution):
    """A family given by probabilities or by logits."""

    binary = True
    arg_constraints: ClassVar[Any] = {"probs": C.unit_interval, "logits": C.real}

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._given(probs, logits)
        Distribution.__init__(self, given.shape, (), validate_args)

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


class Bernoulli(Odds):
    """1 with probability `probs`, else 0."""

    support = C.boolean
    has_enumerate_support = True

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
        return self._along_batch(arange(2).to(self.mean.dtype), expand)


class Categorical(Odds):
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
        Distribution.__init__(self, given.shape[:-1], (), validate_args)

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
        return self._along_batch(arange(self._num_events), expand)


class OfChoices(Distribution):
    """A family over the entries of a vector, held as one Categorical."""

    _categorical: Categorical

    def _choose(self, categorical: Categorical, validate_args: bool | None) -> None:
        self._categorical = categorical
        Distribution.__init__(
            self, categorical._batch_shape, (categorical._num_events,), validate_args
        )

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits


class OneHotCategorical(OfChoices):
    """A choice as a vector with one 1."""

    support = C.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self._choose(Categorical(probs, logits, validate_args), validate_args)

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
        return self._along_batch(ops.eye(self._event_shape[0], dtype=self.probs.dtype), expand)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """As its base; gradients of draws go to the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
