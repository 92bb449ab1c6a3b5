"""torch.utils.benchmark: a timer of statements."""

from __future__ import annotations

import timeit
from statistics import median
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, refuses={"it is not supported": "Compare Fuzzer FuzzedParameter FuzzedTensor"}
)


class Measurement:
    """Times of one statement, in seconds per run."""

    def __init__(self, times: list[float], number: int) -> None:
        self.times, self.number_per_run = times, number

    @property
    def median(self) -> float:
        """The median."""
        return median(self.times)

    @property
    def mean(self) -> float:
        """The mean."""
        return sum(self.times) / len(self.times)

    def __repr__(self) -> str:
        return f"Measurement(median={self.median:.3g} s, {len(self.times)} measurements)"


class Timer:
    """`Timer("f(x)", globals={...}).blocked_autorange()`: how long a statement takes."""

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", globals: dict[str, Any] | None = None,
        num_threads: int = 1, **_: Any,
    ) -> None:  # fmt: skip
        self._timer = timeit.Timer(stmt, setup, globals=globals or {})

    def timeit(self, number: int = 1000000) -> Measurement:
        """So many runs as one measurement."""
        expect(number > 0, "Timer.timeit", "a positive number", number, ArgumentError)
        self._timer.timeit(1)
        return Measurement([self._timer.timeit(number) / number], number)

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Measurements of blocks of runs, until they took `min_run_time` together."""
        times: list[float] = []
        number, spent = 1, 0.0
        while self._timer.timeit(number) < min_run_time / 100 and number < 1 << 20:
            number *= 2
        while spent < min_run_time or not times:
            took = self._timer.timeit(number)
            spent += took
            times.append(took / number)
        return Measurement(times, number)
