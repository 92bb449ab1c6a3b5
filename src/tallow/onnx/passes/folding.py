"""Constant folding: nodes whose inputs are all known are computed once."""

from __future__ import annotations

from typing import Any, Final

from tallow.errors import TallowError
from tallow.onnx.graph import Graph, Node
from tallow.onnx.program import Program, outer_names
from tallow.tensor import Tensor

_LARGE: Final = 1 << 20  # bytes of a result that must not be much larger than what made it
_GROWTH: Final = 4  # bytes made floats, which would cost more at each call


def folded(graph: Graph) -> Graph:
    """The graph without nodes that depend on constants alone."""
    constants = dict(graph.constants)
    nodes = []
    scratch = Program(Graph("", [], [], []))
    for node in graph.nodes:
        used = [*filter(None, node.inputs), *(n for g in node.graphs() for n in outer_names(g))]
        known = all(name in constants for name in used)
        if known and node.outputs and _always_same(node):
            found = _computed(node, used, constants, scratch)
            if found is not None:
                constants |= found
                continue
        nodes.append(node)
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)


def _always_same(node: Node) -> bool:
    """Whether a node gives the same each time: none draws random numbers, in sub-graphs either."""
    return node.row.capture and all(_always_same(n) for g in node.graphs() for n in g.nodes)


def _computed(
    node: Node, used: list[str], constants: dict[str, Any], scratch: Program
) -> dict[str, Any] | None:
    """The results of a node by name; None where they take much more memory than its inputs."""
    try:
        results = scratch.result(node, constants)
    except TallowError:  # told when it is run: a branch that is not taken may have it
        return None
    found = {name: value for name, value in zip(node.outputs, results, strict=True) if name}
    size = sum([_bytes(value) for value in found.values()])
    if size > _LARGE and size > _GROWTH * sum([_bytes(constants[name]) for name in {*used}]):
        return None
    return found


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.dtype.itemsize
    return int(getattr(value, "nbytes", 0))  # an array on the host
