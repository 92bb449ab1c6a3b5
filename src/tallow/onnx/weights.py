"""The weights of a graph, by name: taken out of it for a module, and put back for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.dtype import DType
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.nn.attributes import MemberDict
from tallow.nn.parameter import Buffer, Parameter
from tallow.onnx.graph import Graph, Node
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx.model import Model


class Weight(NamedTuple):
    """What stands among a graph's constants for a weight: its name, and the file's dtype."""

    name: str
    dtype: DType


def without_weights(graph: Graph) -> tuple[Graph, dict[str, Tensor]]:
    """The graph with a `Weight` for each constant tensor, those of sub-graphs too, and these.

    Names are those of the file; a second one of the same name is called after its sub-graph.
    """
    weights: dict[str, Tensor] = {}

    def outline(graph: Graph, prefix: str) -> Graph:
        constants = dict(graph.constants)
        for name, value in graph.constants.items():
            if isinstance(value, Tensor):
                own = name if name not in weights else f"{prefix}{name}"
                weights[own] = value
                constants[name] = Weight(own, value.dtype)
        nodes = [
            _with_graphs(node, lambda a, g, n=node: outline(g, f"{prefix}{_called(n)}/{a}/"))
            for node in graph.nodes
        ]
        return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)

    return outline(graph, ""), weights


def with_weights(graph: Graph, weights: Mapping[str, Tensor]) -> Graph:
    """A graph of `without_weights` with weights in their places, each in the file's dtype.

    A weight of another dtype (after `model.to(f16)`, or quantised) is converted: operators of the
    standard are typed.
    """
    constants = dict(graph.constants)
    for name, value in constants.items():
        if isinstance(value, Weight):
            given = weights[value.name]
            constants[name] = given if given.dtype is value.dtype else given.to(value.dtype)
    nodes = [_with_graphs(node, lambda _, g: with_weights(g, weights)) for node in graph.nodes]
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)


def _called(node: Node) -> str:
    return node.name or next(filter(None, node.outputs), node.op_type)


def _with_graphs(node: Node, change: Any) -> Node:
    """A node with other sub-graphs: `change` makes them of the attribute's name and the graph."""
    if not node.graphs():
        return node
    attributes = {
        name: change(name, value) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return Node(
        node.op_type, node.domain, node.name, node.inputs, node.outputs, attributes, node.row,
        node.opset,
    )  # fmt: skip


class WeightTable(MemberDict):
    """Weights by name; none is an entry of `__dict__`: a file may call one `forward`."""

    __slots__ = ()

    def __setitem__(self, name: str, value: Any) -> None:
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, name)


class Weights(MutableMapping[str, Tensor]):
    """The weights of a model by their names in the file; setting one replaces it."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Tensor:
        found: Tensor = self._table(name)[name]
        return found

    def __setitem__(self, name: str, value: Tensor) -> None:
        table = self._table(name)
        good = isinstance(value, Tensor)
        expect(good, "weights", f"a Tensor for {name!r}", type(value).__name__, DTypeError)
        if table is self._model._buffers:
            table[name] = value if isinstance(value, Buffer) else Buffer(value)
        else:
            kept = isinstance(value, Parameter)
            table[name] = value if kept else Parameter(value, requires_grad=False)

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(f"weights: expected that {name!r} stays, got del: the graph needs it")

    def __iter__(self) -> Iterator[str]:
        return iter([*self._model._parameters, *self._model._buffers])

    def __len__(self) -> int:
        return len(self._model._parameters) + len(self._model._buffers)

    def _table(self, name: str) -> Any:
        for table in (self._model._parameters, self._model._buffers):
            if name in table:
                return table
        near = _near(name, [*self])
        raise ArgumentError(f"weights: expected the name of a weight, got {name!r}{near}")


def _near(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, known[:1000], n=3)
    return f"; close ones are {', '.join(map(repr, found))}" if found else ""
