"""What a call comes to where small inputs decide: one plan, without those that led to it.

An exported model asks whether a number (a sample rate, a length) is one that it knows: a plan of
one call, whose result is read and leads to the plan of the rest. What was read follows from the
number, so the number leads there as well.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, Final, NamedTuple

from tallow import _native
from tallow.onnx.program import Program
from tallow.onnx.segment import Segment
from tallow.tensor import Tensor

_MOST_BYTES: Final = 64  # of inputs that decide
_MOST_ENDS: Final = 64  # of all calls


class Route(NamedTuple):
    """The last plan of a call, and where it has the outputs: their numbers, or -1 and constants."""

    keys: tuple[Any, ...]  # of the plans that led there, and its own
    segment: Segment
    results: tuple[tuple[int, Any], ...]


class Routes:
    """Routes by signature, and by the elements of the inputs that decide."""

    def __init__(self, program: Program, given: int) -> None:
        """`given`: inputs and outer values, which have the first places."""
        self._program, self._given = program, given
        self.clear()

    def clear(self) -> None:
        """Drop all routes."""
        self._rows: dict[Any, tuple[tuple[int, ...], dict[bytes, Route]]] = {}
        self._count = 0

    def find(self, key: Any, given: list[Any]) -> Route | None:
        """The route of a signature for these values."""
        row = self._rows.get(key)
        return None if row is None else row[1].get(_native.elements(given, row[0]))

    def add(
        self, path: Sequence[tuple[Any, Segment]], given: list[Any], held: Container[Any]
    ) -> None:
        """Keep what a call went through, if that was plans alone, of keys that are held.

        `path` are keys, the first number of which is the step where a plan begins, and plans.
        """
        begins, ends = [key[0] for key, _ in path], [segment.end for _, segment in path]
        whole = begins == [0, *ends[:-1]] and ends[-1:] == [len(self._program.steps)]
        if not whole or self._count >= _MOST_ENDS or any(key not in held for key, _ in path):
            return
        last = path[-1][1]
        far = any(place >= self._given for place in last.inputs)  # what an earlier plan gives
        results = self._results(last)
        if results is None or far or last.cloned:
            return
        first = path[0][0]
        places, routes = self._rows.get(first, ((), {}))
        wanted = {*places}.union(*[self._deciding(segment) for _, segment in path[:-1]])
        if sum([_size(given[place]) for place in wanted]) > _MOST_BYTES:
            return
        if wanted != {*places}:
            places, routes = tuple(sorted(wanted)), {}
        self._rows[first] = places, routes
        route = Route(tuple([key for key, _ in path]), last, results)
        routes[_native.elements(given, places)] = route
        self._count += 1

    def _results(self, last: Segment) -> tuple[tuple[int, Any], ...] | None:
        """For each output its number among those of a plan, or -1 and what it always is.

        None if one comes from elsewhere.
        """
        made, known = last.outputs, dict(last.fixed) | dict(self._program.constants)
        outputs = self._program.outputs
        if not {*outputs} <= known.keys() | {*made}:
            return None
        return tuple((made.index(p), None) if p in made else (-1, known[p]) for p in outputs)

    def _deciding(self, segment: Segment) -> set[int]:
        """Inputs and outer values that what is read behind a plan may follow from."""
        plan, step = segment.plan, self._program.steps[segment.end]
        values = [row[0] for row in plan.values]
        used = {values[number] for number in plan.outputs}
        for _, arguments in plan.calls:
            used.update(values[arg[1]] for arg in arguments if isinstance(arg, tuple))
        inputs = zip(segment.inputs, plan.inputs, strict=True)
        read = {place for place, is_read in zip(step.inputs, step.reads, strict=True) if is_read}
        found = read | {place for place, number in inputs if values[number] in used}
        return {place for place in found if 0 <= place < self._given}


def _size(value: Any) -> int:
    """Bytes of a value that can be looked up, more than there may be of another."""
    plain = isinstance(value, Tensor) and value.is_cpu and value.is_contiguous()
    if not plain or value.dtype.is_quantized:
        return _MOST_BYTES + 1
    size: int = value._array.size * value.dtype.itemsize
    return size
