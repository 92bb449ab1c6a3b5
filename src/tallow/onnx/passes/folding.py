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
    for node in graph.nodes:
        used = {*filter(None, node.inputs), *(n for g in node.graphs() for n in outer_names(g))}
        if _always_same(node) and all(name in constants for name in used) and node.outputs:
            found = _computed(node, constants)
            if found is not None:
                constants |= found
                continue
        nodes.append(node)
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)


def _always_same(node: Node) -> bool:
    """Whether a node gives the same each time: none draws random numbers, in sub-graphs either."""
    return node.row.capture and all(_always_same(n) for g in node.graphs() for n in g.nodes)


def _computed(node: Node, constants: dict[str, Any]) -> dict[str, Any] | None:
    """The results of a node by name; None where they take much more memory than its inputs."""
    used = {*filter(None, node.inputs), *(n for g in node.graphs() for n in outer_names(g))}
    around = {name: constants[name] for name in used}
    outputs = [name for name in node.outputs if name]
    from tallow.formats.onnx import ValueInfo

    inner = Graph("", [node], [], [ValueInfo(name, None) for name in outputs], around)
    try:
        found = dict(zip(outputs, Program(inner).interpret([], []), strict=True))
    except TallowError:  # told when it is run: a branch that is not taken may have it
        return None
    size = sum(_bytes(value) for value in found.values())
    if size > _LARGE and size > _GROWTH * sum(_bytes(value) for value in around.values()):
        return None
    return found


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.dtype.itemsize
    return int(getattr(value, "nbytes", 0))  # an array on the host
