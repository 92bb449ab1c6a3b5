"""A graph made ready to run: nodes became steps, names places in a list of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tallow import _native
from tallow.errors import DTypeError, ModelError, TallowError
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators.table import REQUIRED, Row
from tallow.tensor import Tensor

# What Python and numpy raise in a row for arguments of a kind that it does not expect.
MISFITS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, eq=False)
class Step:
    """A node: the function that computes it, and where its arguments and results are.

    `inputs` are places, -1 for an input that is left out; `reads` tells which are given as Python
    numbers. `bodies` are the sub-graphs by attribute. `free` are places that nothing reads later.
    """

    node: Node
    row: Row
    inputs: tuple[int, ...]
    reads: tuple[bool, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any]
    bodies: tuple[tuple[str, Program], ...]
    free: tuple[int, ...]
    uses: frozenset[int]  # places that it reads, those of its sub-graphs too


class Program:
    """The steps of a graph. Places: inputs, then outer values and constants, then the rest."""

    def __init__(self, graph: Graph, around: Mapping[str, Any] | None = None) -> None:
        """`around`: constants of the graphs around this one, which are its own, too."""
        self.graph = graph
        named = outer_names(graph)
        constants = {n: around[n] for n in named if n in around} if around else {}
        self._constants = constants | graph.constants
        self.places: dict[str, int] = {}
        for each in graph.inputs:
            self._place(each.name)
        # Values of the graphs around this one, by name, in the order of their places.
        self.outer = tuple(name for name in named if name not in constants)
        for name in (*self.outer, *self._constants):
            self._place(name)
        self.inputs = tuple(self.places[each.name] for each in graph.inputs)
        self.captured = tuple(self.places[name] for name in self.outer)
        self.constants = [(self.places[n], value) for n, value in self._constants.items()]
        made = [self._step(node) for node in graph.nodes]
        self.outputs = tuple(self.places[each.name] for each in graph.outputs)
        self.steps = self._with_frees(made)
        self._template: list[Any] = [None] * len(self.places)
        for place, value in self.constants:
            self._template[place] = value
        # Set by who runs it: called with the inputs and outer values, gives the outputs.
        self.run: Callable[[list[Any], list[Any]], list[Any]] = self.interpret

    def _place(self, name: str) -> int:
        return self.places.setdefault(name, len(self.places))

    def _step(self, node: Node) -> Step:
        row = node.row
        attributes: dict[str, Any] = {}
        bodies = []
        for name, default in row.attributes.items():
            value = node.attributes.get(name, default)
            if value is REQUIRED:
                raise ModelError(f"{_where(node)}: expected the attribute {name!r}, got none")
            if isinstance(value, Graph):
                bodies.append((name, Program(value, self._constants)))
            attributes[row.keywords.get(name, name)] = value
        given = {"outputs": len(node.outputs), "wanted": node.wanted, "opset": node.opset}
        attributes |= {name: given[name] for name in row.passed}
        inputs = tuple(self.places[n] if n else -1 for n in node.inputs)
        names = [*row.inputs, *[""] * len(inputs)][: len(inputs)]
        return Step(
            node, row, inputs, tuple(name in row.reads for name in names),
            tuple([self._place(n) if n else -1 for n in node.outputs]), attributes, tuple(bodies),
            (), self._uses(inputs, bodies),
        )  # fmt: skip

    def _uses(
        self, inputs: tuple[int, ...], bodies: Sequence[tuple[str, Program]]
    ) -> frozenset[int]:
        found = {place for place in inputs if place >= 0}
        for _, body in bodies:
            found.update([self.places[name] for name in body.outer])
        return frozenset(found)

    def result(self, node: Node, constants: Mapping[str, Any]) -> list[Any]:
        """The outputs of one node, of a program without steps, for inputs that are all known.

        Raises:
            TallowError: the row refuses them.
        """
        names = [*filter(None, node.inputs), *(n for g in node.graphs() for n in outer_names(g))]
        self.places, self._constants = {}, {name: constants[name] for name in names}
        for name in names:
            self._place(name)
        step = self._step(node)
        values: list[Any] = [None] * len(self.places)
        for name in names:
            values[self.places[name]] = constants[name]
        self.execute(step, values)
        return [values[place] if place >= 0 else None for place in step.outputs]

    def _with_frees(self, steps: list[Step]) -> tuple[Step, ...]:
        """The steps, each knowing what is not needed after it."""
        kept = {*self.outputs, *(place for place, _ in self.constants)}
        made = []
        for step in reversed(steps):
            here = {*step.uses, *[p for p in step.outputs if p >= 0]} - kept
            kept |= here
            made.append(_replaced(step, tuple(here)))
        return tuple(reversed(made))

    # --- running ----------------------------------------------------------------------------------

    def values(self, inputs: Sequence[Any], outer: Sequence[Any]) -> list[Any]:
        """The list that steps work on, with what is known before the first."""
        values = self._template.copy()
        for place, value in zip(self.inputs, inputs, strict=True):
            values[place] = value
        for place, value in zip(self.captured, outer, strict=True):
            values[place] = value
        return values

    def interpret(self, inputs: Sequence[Any], outer: Sequence[Any]) -> list[Any]:
        """The outputs, step by step."""
        values = self.values(inputs, outer)
        for step in self.steps:
            self.execute(step, values)
        return [values[place] for place in self.outputs]

    def execute(self, step: Step, values: list[Any]) -> None:
        """Run a step, put its results in their places, and drop what nothing reads any more."""
        arguments = self.arguments(step, values)
        try:
            found = step.row.function(*arguments, **self.keywords(step, values))
        except TallowError as error:
            raise located(error, step.node) from error
        except MISFITS as error:
            raise _misfit(error, step, arguments) from error
        outputs = step.outputs
        if isinstance(found, Tensor) or not isinstance(found, tuple):
            if outputs and outputs[0] >= 0:
                values[outputs[0]] = found
        else:
            for place, value in zip(outputs, found, strict=False):
                if place >= 0:
                    values[place] = value
        for place in step.free:
            values[place] = None

    def arguments(self, step: Step, values: list[Any]) -> list[Any]:
        """The inputs of a step as its row wants them."""
        found = []
        for place, read in zip(step.inputs, step.reads, strict=True):
            value = values[place] if place >= 0 else None
            if value is not None:
                if read and hasattr(value, "tolist"):
                    value = value.tolist()
                elif not step.row.host and on_host(value):
                    where = _where(step.node)
                    raise DTypeError(f"{where}: expected a dtype of tensors, got {value.dtype}")
            found.append(value)
        return found

    def keywords(self, step: Step, values: list[Any]) -> dict[str, Any]:
        """The attributes of a step; sub-graphs as functions of their inputs."""
        if not step.bodies:
            return step.attributes
        bound = {n: Body(b, [values[self.places[o]] for o in b.outer]) for n, b in step.bodies}
        return step.attributes | bound


class Body:
    """A sub-graph with the values of the graphs around it: a function of its inputs."""

    def __init__(self, program: Program, outer: list[Any]) -> None:
        self.program, self._outer = program, outer

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        program = self.program
        run = program.interpret if _native.capturing() else program.run
        return tuple(run(list(inputs), self._outer))


def outer_names(graph: Graph) -> list[str]:
    """The values that a graph and its sub-graphs use and do not define, in order of use."""
    if graph.outer is None:
        graph.outer = _outer_names(graph)
    return graph.outer


def _outer_names(graph: Graph) -> list[str]:
    known = {each.name for each in graph.inputs} | {*graph.constants}
    found: dict[str, None] = {}
    for node in graph.nodes:
        used = [name for name in node.inputs if name]
        for inner in node.graphs():
            used += outer_names(inner)
        found |= dict.fromkeys(name for name in used if name not in known)
        known.update(node.outputs)
    found |= dict.fromkeys(each.name for each in graph.outputs if each.name not in known)
    return list(found)


def located(error: TallowError, node: Node) -> TallowError:
    """The same error with the node's name in front of its text."""
    if getattr(error, "node", None) is not None:
        return error
    try:
        made = type(error)(f"{_where(node)}: {_without_name(str(error), node)}")
    except TypeError:  # a class with arguments of its own
        return error
    made.node = node  # type: ignore[attr-defined]
    return made


def _without_name(text: str, node: Node) -> str:
    """The text of an error, without the operator's name, however it is spelled, in front of it."""
    name, colon, rest = text.partition(": ")
    same = name.replace("_", "").lower() == node.op_type.lower()
    return rest if colon and same else text


def _misfit(error: Exception, step: Step, arguments: Sequence[Any]) -> TallowError:
    """An error that tells what a row was called with."""
    given = ", ".join([_kind(each) for each in arguments])
    wanted = f"inputs and attributes that {step.node.op_type} has a meaning for"
    named = {name: _kind(value) for name, value in step.node.attributes.items()}
    text = f"expected {wanted}, got ({given}) and {named} ({error})"
    return located(ModelError(text), step.node)


def _kind(value: Any) -> str:
    """The dtype and shape of a value, or a number or list as it is, if it is short."""
    if value is None:
        return "nothing"
    if hasattr(value, "shape"):
        return f"{getattr(value.dtype, 'name', value.dtype)} of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _where(node: Node) -> str:
    return f"node {node.name!r} ({node.op_type})" if node.name else node.op_type


def on_host(value: Any) -> bool:
    """Whether a value is an array of numpy's."""
    return type(value).__module__ == "numpy"


def _replaced(step: Step, free: tuple[int, ...]) -> Step:
    return Step(
        step.node,
        step.row,
        step.inputs,
        step.reads,
        step.outputs,
        step.attributes,
        step.bodies,
        free,
        step.uses,
    )
