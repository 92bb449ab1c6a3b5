"""torch.distributions.constraints: the sets in which arguments and values lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.tensor import Tensor
from tallow.torch._names import refused


class Constraint:
    """A set: `check(x)` says of each entry whether it lies in it."""

    is_discrete = False
    event_dim = 0

    def __init__(
        self, name: str, check: Callable[[Tensor], Tensor], discrete: bool = False, axes: int = 0
    ) -> None:
        self.name, self._check, self.is_discrete, self.event_dim = name, check, discrete, axes

    def check(self, value: Tensor) -> Tensor:
        """Whether each entry lies in the set."""
        return self._check(value)

    def __repr__(self) -> str:
        return self.name


def _whole(x: Tensor) -> Tensor:
    return ops.remainder(x, 1) == 0


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """From `lower_bound` to `upper_bound`."""
    return Constraint(
        f"Interval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda x: (x >= lower_bound) & (x <= upper_bound),
    )


half_open_interval = interval


def greater_than(lower_bound: Any) -> Constraint:
    """Above `lower_bound`."""
    return Constraint(f"GreaterThan(lower_bound={lower_bound})", lambda x: x > lower_bound)


def greater_than_eq(lower_bound: Any) -> Constraint:
    """At least `lower_bound`."""
    return Constraint(f"GreaterThanEq(lower_bound={lower_bound})", lambda x: x >= lower_bound)


def less_than(upper_bound: Any) -> Constraint:
    """Below `upper_bound`."""
    return Constraint(f"LessThan(upper_bound={upper_bound})", lambda x: x < upper_bound)


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Whole numbers from `lower_bound` to `upper_bound`."""
    return Constraint(
        f"IntegerInterval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda x: _whole(x) & (x >= lower_bound) & (x <= upper_bound), True,
    )  # fmt: skip


real = Constraint("Real()", lambda x: x == x)
real_vector = Constraint("RealVector()", lambda x: (x == x).all(-1), axes=1)
boolean = Constraint("Boolean()", lambda x: (x == 0) | (x == 1), True)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = Constraint("nonnegative integers", lambda x: _whole(x) & (x >= 0), True)
positive_integer = Constraint("positive integers", lambda x: _whole(x) & (x >= 1), True)
simplex = Constraint(
    "Simplex()", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6), axes=1
)
one_hot = Constraint(
    "OneHot()", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), True, 1
)
lower_cholesky = Constraint(
    "LowerCholesky()",
    lambda x: ((x.tril() == x).flatten(-2).all(-1)) & (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1),
    axes=2,
)
positive_definite = Constraint(
    "PositiveDefinite()",
    lambda x: ((x - x.mT).abs() <= 1e-5 + 1e-5 * x.abs()).flatten(-2).all(-1), axes=2,
)  # fmt: skip
biject_to = refused("tallow.torch.distributions", "biject_to", "it is not supported")
transform_to = refused("tallow.torch.distributions", "transform_to", "it is not supported")
