"""Which values the steps of a program need, and where."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from tallow.onnx.holding import constant_storages, storage
from tallow.onnx.program import Program
from tallow.tensor import Tensor


class Needs:
    """What the steps of a program need.

    It is found when it is asked for: of many sub-graphs no branch is ever taken.
    """

    def __init__(self, program: Program, weights: dict[str, Tensor]) -> None:
        self._program, self._all_weights = program, weights

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Those of the program and its sub-graphs."""
        return used_weights(self._program, self._all_weights)

    @cached_property
    def live(self) -> list[tuple[int, ...]]:
        """For each step, and after the last, the places of values that are needed from there on."""
        return live_places(self._program)

    @cached_property
    def given(self) -> list[int]:
        """The places of inputs and outer values that are needed; these have the first places."""
        count = len(self._program.inputs) + len(self._program.captured)
        return [place for place in self.live[0] if place < count]

    @cached_property
    def held(self) -> set[int | None]:
        """The memory of weights and constants."""
        return constant_storages(self._program) | {storage(x) for x in self.weights.values()}

    def inputs(
        self, at: int, values: list[Any], known: set[int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tensors that a plan from here on takes, and those whose strides a copy changed.

        Each is given memory of its own: what shares it now (two inputs, an input and a weight) need
        not at the next call. None has a negative stride, which plans cannot take.
        """
        found: list[int] = []
        cloned: list[int] = []
        storages = self.held | {storage(values[place]) for place in known}
        for place in self.live[at]:
            value = values[place]
            if not isinstance(value, Tensor) or place in known:
                continue
            strides = value._array.strides
            if storage(value) in storages or min(strides, default=0) < 0:
                values[place] = value = value.clone()
                if value._array.strides != strides:
                    cloned.append(place)
            storages.add(storage(value))
            found.append(place)
        return tuple(found), tuple(cloned)


def used_weights(program: Program, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights among a program's constants, and those of its sub-graphs."""
    found = {name: weights[name] for name in program.places if name in weights}
    for step in program.steps:
        for _, body in step.bodies:
            found |= used_weights(body, weights)
    return found


def live_places(program: Program) -> list[tuple[int, ...]]:
    """For each step, the places with a value that it or a later one, or an output, needs."""
    constants = {place for place, _ in program.constants}
    needed = {*program.outputs} - constants
    found = [tuple(sorted(needed))]
    for step in reversed(program.steps):
        needed = (needed - {*step.outputs}) | (step.uses - constants)
        found.append(tuple(sorted(needed)))
    return found[::-1]
