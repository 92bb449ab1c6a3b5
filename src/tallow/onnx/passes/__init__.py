"""Passes over a graph before it is run: each gives the same results by less work."""

from __future__ import annotations

from typing import Any

from tallow.onnx.graph import Graph, Node
from tallow.onnx.passes.duplicates import without_duplicates
from tallow.onnx.passes.folding import folded
from tallow.onnx.passes.loops import without_invariants
from tallow.onnx.passes.patterns import fused
from tallow.onnx.passes.quantized import quantized
from tallow.onnx.passes.unused import without_unused
from tallow.onnx.program import outer_names

__all__ = ["optimized"]


def optimized(graph: Graph) -> Graph:
    """A graph that gives the same outputs, with its sub-graphs."""
    graph = folded(quantized(without_invariants(graph)))
    graph = without_duplicates(without_unused(graph))
    graph = without_unused(fused(graph))
    nodes = [_with_bodies(node, graph.constants) if node.graphs() else node for node in graph.nodes]
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, graph.constants)


def _with_bodies(node: Node, around: dict[str, Any]) -> Node:
    """A copy of a node with optimised sub-graphs: the graph given stays as it is."""
    made = node.with_inputs(node.inputs)
    made.attributes = {
        name: _inside(value, around) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return made


def _inside(graph: Graph, around: dict[str, Any]) -> Graph:
    """A sub-graph, optimised, to which constants around it are its own."""
    known = {name: around[name] for name in outer_names(graph) if name in around}
    constants = known | graph.constants
    return optimized(Graph(graph.name, graph.nodes, graph.inputs, graph.outputs, constants))
