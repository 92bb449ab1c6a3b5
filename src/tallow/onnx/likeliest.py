"""Classifiers that are asked for the most likely class only, not for the probability of each.

Where a model ends in a linear layer and softmax, plans compute both results without the
probabilities of all classes (`plan/rewrites/likeliest.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallow.errors import FormatError
from tallow.formats.onnx import ValueInfo, open_onnx
from tallow.onnx.graph import Graph, Node
from tallow.onnx.importing import import_graph
from tallow.onnx.model import Model
from tallow.onnx.operators import find

if TYPE_CHECKING:
    from tallow.formats.mapping import Source

_OPSET: Final = 13  # axes are attributes


def likeliest(source: Source) -> Model:
    """The model in an ONNX file, whose only output is replaced by two.

    These are the place of its largest element along the last axis (i64; the first of equal ones),
    and that element, in this order.

    Raises:
        FormatError: the file is no ONNX model, or has not one output.
        ModelError: it has operators that Tallow has not.
    """
    file = open_onnx(source)
    graph = import_graph(file)
    file.release_pages()
    if len(graph.outputs) != 1:
        raise FormatError(file.path, "graph outputs", "one output", len(graph.outputs))
    return Model(file, with_likeliest(graph))


def with_likeliest(graph: Graph) -> Graph:
    """The graph with the place and the value of the largest element of its one output."""
    (output,) = graph.outputs
    nodes, outputs = [*graph.nodes], []
    kinds = (("ArgMax", "place", {"axis": -1}), ("ReduceMax", "value", {"axes": [-1]}))
    for operator, what, given in kinds:
        row = find("", operator, _OPSET)
        assert row is not None
        name = f"{output.name}/likeliest/{what}"
        attributes = {**given, "keepdims": 0}
        nodes.append(Node(operator, "", name, [output.name], [name], attributes, row, _OPSET))
        outputs.append(ValueInfo(name, None))
    return Graph(graph.name, nodes, graph.inputs, outputs, graph.constants, graph.optional)
