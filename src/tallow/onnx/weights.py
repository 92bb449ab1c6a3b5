"""The weights of a graph, by name: taken out of it for a module, and put back for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.dtype import DType
from tallow.errors import ArgumentError, DTypeError, ModelError, expect
from tallow.nn.attributes import MemberDict
from tallow.nn.parameter import Buffer, Parameter
from tallow.onnx.graph import Graph
from tallow.onnx.passes.quantizing import product_weights, with_linear
from tallow.onnx.unread import read
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx.model import Model


class Weight(NamedTuple):
    """What stands among a graph's constants for a weight: its name, its dtype and shape there."""

    name: str
    dtype: DType
    shape: tuple[int, ...]


def without_weights(graph: Graph) -> tuple[Graph, dict[str, Tensor]]:
    """The graph with a `Weight` for each constant tensor, those of sub-graphs too, and these."""
    weights: dict[str, Tensor] = {}

    def outline(graph: Graph) -> Graph:
        constants = dict(graph.constants)
        for name, value in graph.constants.items():
            if isinstance(value, Tensor):
                weights[name] = value
                constants[name] = Weight(name, value.dtype, tuple(value.shape))
        nodes = [node.with_graphs(lambda _, inner: outline(inner)) for node in graph.nodes]
        return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)

    return outline(graph), weights


def with_weights(graph: Graph, weights: Mapping[str, Tensor], *, exact: bool = False) -> Graph:
    """A graph of `without_weights` with weights in their places, each in the file's dtype.

    A weight of another dtype (after `model.to(f16)`) is converted: operators of the standard are
    typed. Block-quantised ones of products stay as they are: the products are linear layers then.

    Raises:
        ModelError: a block-quantised weight has another shape than its products need.
    """
    own = _weights_of(graph)
    blocks = any(weights[v.name].dtype.is_quantized for v in own.values())
    ways = product_weights(graph, {n: v.shape for n, v in own.items()}) if blocks else {}
    tensors = {}
    for name, value in own.items():
        given = read(weights[value.name])
        if name in ways and given.dtype.is_quantized:
            wanted = value.shape[::-1] if ways[name] else value.shape
            if tuple(given.shape) != wanted:
                got = tuple(given.shape)
                raise ModelError(f"weight {value.name!r}: expected {wanted} in blocks, got {got}")
            tensors[name] = given
        else:
            tensors[name] = given if given.dtype is value.dtype else given.to(value.dtype)
    made = _filled(graph, tensors)
    return with_linear(made, tensors, exact) if blocks else made


def with_file_layout(graph: Graph, weights: Mapping[str, Tensor]) -> Graph:
    """A graph of `without_weights` with weights in their places, each as in a file: no blocks."""
    own = _weights_of(graph)
    ways = product_weights(graph, {n: v.shape for n, v in own.items()})
    tensors = {}
    for name, value in own.items():
        given = read(weights[value.name]).detach()
        blocks = given.dtype.is_quantized and ways.get(name, False)
        given = given.to(value.dtype)
        tensors[name] = given.transpose(0, 1) if blocks else given
    return _filled(graph, tensors)


def _filled(graph: Graph, tensors: Mapping[str, Tensor]) -> Graph:
    constants = {n: tensors[n] if isinstance(v, Weight) else v for n, v in graph.constants.items()}
    nodes = [node.with_graphs(lambda _, inner: _filled(inner, tensors)) for node in graph.nodes]
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)


def _weights_of(graph: Graph) -> dict[str, Weight]:
    """The weights of a graph and its sub-graphs by the names of their values."""
    found = {n: v for n, v in graph.constants.items() if isinstance(v, Weight)}
    for node in graph.nodes:
        for inner in node.graphs():
            found |= _weights_of(inner)
    return found


def quantizable(graph: Graph) -> Iterator[tuple[Weight, bool]]:
    """The weights that products alone use, and whether blocks run along their first axis."""
    own = _weights_of(graph)
    for name, transposed in product_weights(graph, {n: v.shape for n, v in own.items()}).items():
        yield own[name], transposed


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
