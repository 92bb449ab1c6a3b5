"""What all distributions share: shapes of batch and event, checks, draws."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.tensor import Size, Tensor
from tallow.torch._names import UnsupportedError
from tallow.torch.distributions.constraints import Constraint
from tallow.torch.distributions.utils import broadcast_all, sum_rightmost


class Distribution:
    """Base of distributions; a batch of them is one object."""

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = None
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether arguments and values are checked."""
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = tuple(batch_shape), tuple(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                value = self.__dict__.get(name)
                if isinstance(value, Tensor):
                    with no_grad():
                        good = bool(constraint.check(value).all())
                    wanted = f"{name} in {constraint}"
                    expect(good, type(self), wanted, "a value outside", ArgumentError)

    def _take(self, validate_args: bool | None, **numbers: Any) -> None:
        """Construct from numbers and tensors, kept under their names in one shape."""
        made = broadcast_all(*numbers.values())
        self.__dict__.update(zip(numbers, made, strict=True))
        Distribution.__init__(self, made[0].shape, (), validate_args)

    @property
    def batch_shape(self) -> Any:
        """The shape of the batch."""
        return Size(self._batch_shape)

    @property
    def event_shape(self) -> Any:
        """The shape of one draw."""
        return Size(self._event_shape)

    def _extended_shape(self, sample_shape: Any = ()) -> tuple[int, ...]:
        return (*tuple(sample_shape), *self._batch_shape, *self._event_shape)

    def _validate_sample(self, value: Tensor) -> None:
        if self._validate_args and isinstance(self.support, Constraint):
            with no_grad():
                good = bool(self.support.check(value).all())
            expect(good, type(self), f"values in {self.support}", "one outside", ArgumentError)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, outside of the graph."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients pass."""
        raise self._missing("rsample")

    def sample_n(self, n: int) -> Tensor:
        """N draws."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        raise self._missing("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        raise self._missing("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The value that is not exceeded with this probability."""
        raise self._missing("icdf")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise self._missing("entropy")

    def perplexity(self) -> Tensor:
        """`exp(entropy)`."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values."""
        raise self._missing("enumerate_support")

    def _along_batch(self, values: Tensor, expand: bool) -> Tensor:
        """Values of shape (n, *event) set before the batch, repeated over it if `expand`."""
        axes = [1] * len(self._batch_shape)
        values = values.reshape(len(values), *axes, *self._event_shape)
        return values.expand(-1, *self._batch_shape, *self._event_shape) if expand else values

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same with a larger batch."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        old = len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                extra = value.shape[old:] if value.ndim >= old else ()
                made.__dict__[name] = value.expand(*batch_shape, *extra)
            elif isinstance(value, Distribution):
                made.__dict__[name] = value.expand((*batch_shape, *value._batch_shape[old:]))
        made._batch_shape = tuple(batch_shape)
        return made

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise self._missing("mean")

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise self._missing("mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise self._missing("variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def _missing(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"{type(self).__name__}.{what}: there is none")

    def __repr__(self) -> str:
        names = [n for n in self.arg_constraints if n in self.__dict__]
        parts = [
            f"{n}: {v if v.numel() == 1 else tuple(v.shape)}"
            for n in names if isinstance(v := self.__dict__[n], Tensor)
        ]  # fmt: skip
        return f"{type(self).__name__}({', '.join(parts)})"


ExponentialFamily = Distribution


class Independent(Distribution):
    """The last axes of a batch taken as one event."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        count, shape = reinterpreted_batch_ndims, base_distribution._batch_shape
        expect(count <= len(shape), Independent, f"at most {len(shape)} axes", count, ArgumentError)
        cut = len(shape) - count
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, count
        event = (*shape[cut:], *base_distribution._event_shape)
        super().__init__(shape[:cut], event, validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]  # as the base has it
        """As the base."""
        return self.base_dist.has_rsample

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Summed over the event."""
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """Summed over the event."""
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """A larger batch."""
        inner = self.base_dist._batch_shape[len(self._batch_shape) :]
        return Independent(
            self.base_dist.expand((*batch_shape, *inner)), self.reinterpreted_batch_ndims
        )

    @property
    def mean(self) -> Tensor:
        """As the base."""
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """As the base."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        """As the base."""
        return self.base_dist.variance
