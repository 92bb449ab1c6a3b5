"""Shape inference: a program run on `meta`, at one length of each name or at several.

What is small and known (constants, shapes) is computed with its elements, so that shapes that
follow from shapes are found. Everything else has a shape and a dtype, or is unknown where these
depend on elements. Lengths as expressions of names are found by runs at several lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallow.device import Device
from tallow.errors import ArgumentError, DeviceError, ShapeError, TallowError, expect
from tallow.factories import empty
from tallow.formats.onnx import ValueInfo, ValueType
from tallow.formats.onnx.graph import Dimension
from tallow.formats.onnx.types import CODES
from tallow.onnx.graph import Graph
from tallow.onnx.lengths import Solver
from tallow.onnx.program import MISFITS, Program, Step, located
from tallow.onnx.signature import element_name
from tallow.tensor import Tensor

_SMALL: Final = 1 << 14  # elements of operands up to which a step is computed with its elements


class _UnknownError(TallowError):
    """A sub-graph gives what is unknown."""


UNKNOWN: Final = object()


class ShapeRun:
    """A program whose steps compute shapes, and elements where these are known and few."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._meta = Device("meta")
        self._bodies = {id(b): ShapeRun(b) for step in program.steps for _, b in step.bodies}
        program.run = self._as_body

    def values(self, inputs: Sequence[Any], outer: Sequence[Any] = ()) -> list[Any]:
        """All values by place; `UNKNOWN` where nothing is known."""
        program = self._program
        values = program.values(inputs, outer)
        for step in program.steps:
            found = self._results(step, values)
            for place, value in zip(step.outputs, found, strict=False):
                if place >= 0:
                    values[place] = value
        return values

    def _as_body(self, inputs: Sequence[Any], outer: Sequence[Any]) -> list[Any]:
        values = self.values(inputs, outer)
        found = [values[place] for place in self._program.outputs]
        if any(value is UNKNOWN for value in found):
            raise _UnknownError("a result of a sub-graph is unknown")
        return found

    def _results(self, step: Step, values: list[Any]) -> Sequence[Any]:
        nothing = [UNKNOWN] * len(step.outputs)
        known = [values[place] for place in step.uses]
        try:
            if not any(value is UNKNOWN for value in known) or step.bodies:
                found = self._computed(step, values, known)
                return found if isinstance(found, tuple) else [found]
        except ShapeError as error:
            raise located(error, step.node) from error
        except (TallowError, *MISFITS):
            pass  # shapes that depend on elements; what has no meaning is told when it is run
        if step.node.op_type == "If":
            return self._either(step, values)
        return nothing

    def _computed(self, step: Step, values: list[Any], known: list[Any]) -> Any:
        program = self._program
        if step.bodies or _are_few(known):
            return step.row.function(
                *program.arguments(step, values), **program.keywords(step, values)
            )
        given = []
        for place, read in zip(step.inputs, step.reads, strict=True):
            value = values[place] if place >= 0 else None
            if isinstance(value, Tensor):
                value = value.tolist() if read else value.to(self._meta)
            given.append(value)
        try:
            return step.row.function(*given, **step.attributes)
        except DeviceError:  # a row that makes a tensor of its own
            with self._meta:
                return step.row.function(*given, **step.attributes)

    def _either(self, step: Step, values: list[Any]) -> Sequence[Any]:
        """What both branches of an If have in common; one that does not fit is not taken."""
        found, errors = [], []
        for _, body in step.bodies:
            outer = [values[self._program.places[name]] for name in body.outer]
            try:
                inside = self._bodies[id(body)].values([], outer)
                found.append([inside[place] for place in body.outputs])
            except ShapeError as error:
                errors.append(error)
        if not found:
            raise errors[0]
        return [_common(a, b) for a, b in zip(found[0], found[-1], strict=True)]


def _are_few(values: Sequence[Any]) -> bool:
    """Whether all elements are known, and not many."""
    count = 0
    for value in values:
        if isinstance(value, Tensor):
            if value.is_meta:
                return False
            count += value.numel()
    return count <= _SMALL


def _common(a: Any, b: Any) -> Any:
    same = isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape
    return a.to("meta") if same and a.dtype is b.dtype else UNKNOWN


def types_at(
    program: Program, infos: Sequence[ValueInfo], lengths: Mapping[str, int],
    given: Mapping[str, Any],
) -> dict[str, tuple[str, tuple[int, ...]]]:  # fmt: skip
    """Element type and shape of every tensor by name, at these lengths of names.

    `given` are inputs whose elements are known.

    Raises:
        ShapeError: the lengths do not fit together.
    """
    inputs = [given.get(info.name, _input(info, lengths)) for info in infos]
    values = ShapeRun(program).values(inputs)
    found = {}
    for name, place in program.places.items():
        value = values[place]
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            found[name] = (element_name(value), tuple(value.shape))
    return found


def _input(info: ValueInfo, lengths: Mapping[str, int]) -> Any:
    shape, dtype = info.shape, info.dtype
    if shape is None or dtype is None:
        return UNKNOWN
    whole = [
        n if isinstance(n, int) else lengths[name_of(info, axis)] for axis, n in enumerate(shape)
    ]
    return (
        empty(*whole, dtype=dtype, device="meta")
        if whole
        else empty((), dtype=dtype, device="meta")
    )


def name_of(info: ValueInfo, axis: int) -> str:
    """The name of an axis without a number: that of the file, or `x.shape[2]`."""
    found = info.shape[axis] if info.shape is not None else None
    return found if isinstance(found, str) else f"{info.name}.shape[{axis}]"


def names_of(infos: Sequence[ValueInfo]) -> list[str]:
    """The names of all lengths that the file leaves open, each once."""
    return list(
        dict.fromkeys(
            name_of(info, axis)
            for info in infos
            for axis, n in enumerate(info.shape or ())
            if not isinstance(n, int)
        )
    )


def inferred(
    graph: Graph, lengths: Mapping[str, int], given: Mapping[str, Any]
) -> dict[str, ValueInfo]:
    """Name and type of all tensors of a graph: at these lengths, in expressions of other names.

    Raises:
        ArgumentError: a name is none of the graph's.
        ShapeError: the lengths do not fit together.
    """
    program = Program(graph)
    names = names_of(graph.inputs)
    unknown = [name for name in lengths if name not in names]
    expect(not unknown, "infer_shapes", f"lengths of {names}", unknown, ArgumentError)
    free = [name for name in names if name not in lengths]

    def run(point: Mapping[str, int]) -> dict[str, tuple[str, tuple[int, ...]]] | None:
        try:
            return types_at(program, graph.inputs, {**lengths, **point}, given)
        except ShapeError:
            if not free:
                raise
            return None

    found: Mapping[str, tuple[str, tuple[Dimension, ...]]]
    found = Solver(free, run).solve() if free else run({}) or {}
    return {
        name: ValueInfo(name, ValueType("tensor", CODES.get(kind, 0), shape))
        for name, (kind, shape) in found.items()
    }
