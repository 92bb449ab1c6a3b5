"""Common subexpressions: nodes that compute the same are computed once; Identity is no node."""

from __future__ import annotations

from typing import Any

from tallow.onnx.graph import Graph, Node
from tallow.onnx.program import outer_names


def without_duplicates(graph: Graph) -> Graph:
    """The graph with one node for each operator with the same inputs and attributes.

    Names that the graph gives, or that sub-graphs use, stay as they are.
    """
    kept = {each.name for each in graph.outputs}
    for node in graph.nodes:
        for each in node.graphs():
            kept.update(outer_names(each))
    renamed: dict[str, str] = {}
    seen: dict[Any, Node] = {}
    nodes = []
    for node in graph.nodes:
        inputs = [renamed.get(name, name) for name in node.inputs]
        if inputs != node.inputs:
            node = node.with_inputs(inputs)
        free = kept.isdisjoint(node.outputs)
        if free and node.op_type == "Identity" and not node.domain:
            renamed[node.outputs[0]] = inputs[0]
            continue
        key = _key(node) if free and node.row.capture else None
        other = seen.get(key) if key is not None else None
        if other is not None and len(other.outputs) == len(node.outputs):
            renamed.update(zip(node.outputs, other.outputs, strict=True))
            continue
        if key is not None:
            seen.setdefault(key, node)
        nodes.append(node)
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, graph.constants)


def _key(node: Node) -> Any:
    """What nodes that compute the same have in common; None of nodes with sub-graphs."""
    if node.graphs() or "" in node.outputs:
        return None
    given = sorted(
        (name, id(value) if hasattr(value, "dtype") else repr(value))  # repr shortens arrays
        for name, value in node.attributes.items()
    )
    return (node.domain, node.op_type, node.opset, *node.inputs, len(node.outputs), *given)
