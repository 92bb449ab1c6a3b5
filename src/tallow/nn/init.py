"""Initial values of parameters: a rule makes values from a shape and a random source."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Sequence

Init = Callable[[Sequence[int], random.Random], "array[float]"]


def constant(value: float) -> Init:
    """Every element is `value`."""
    return lambda shape, _: array("f", [value]) * math.prod(shape)


zeros = constant(0.0)
ones = constant(1.0)


def uniform(bound: float) -> Init:
    """Drawn uniformly from `[-bound, bound]`."""

    def draw(shape: Sequence[int], source: random.Random) -> array[float]:
        value = source.random
        return array("f", [(2 * value() - 1) * bound for _ in range(math.prod(shape))])

    return draw


def normal(std: float, mean: float = 0.0) -> Init:
    """Drawn from a normal distribution."""

    def draw(shape: Sequence[int], source: random.Random) -> array[float]:
        value = source.gauss
        return array("f", [value(mean, std) for _ in range(math.prod(shape))])

    return draw
