"""Dead code: nodes and constants that no output depends on."""

from __future__ import annotations

from tallow.onnx.graph import Graph
from tallow.onnx.program import outer_names


def without_unused(graph: Graph) -> Graph:
    """The graph without nodes and constants that nothing uses."""
    needed = {each.name for each in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if not needed.intersection(node.outputs):
            continue
        needed.update(node.inputs)
        for each in node.graphs():
            needed.update(outer_names(each))
        nodes.append(node)
    constants = {name: value for name, value in graph.constants.items() if name in needed}
    return Graph(graph.name, nodes[::-1], graph.inputs, graph.outputs, constants)
