"""Which values the steps of a program need, and where."""

from __future__ import annotations

from tallow.onnx.program import Program
from tallow.tensor import Tensor


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
        needed = (needed - {*step.outputs}) | (program.uses(step) - constants)
        found.append(tuple(sorted(needed)))
    return found[::-1]
