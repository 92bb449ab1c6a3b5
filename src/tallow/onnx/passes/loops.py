"""What a Loop carries and its body never changes becomes a value of the graph around it."""

from __future__ import annotations

from typing import TypeVar

from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import outer_names

T = TypeVar("T")

_BEFORE = 2  # inputs of a Loop, and of its body, before the values that it carries


def without_invariants(graph: Graph) -> Graph:
    """The graph with Loops that carry only what changes.

    Exporters pass weights through each iteration; as values from outside they are constants of the
    body.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        found = _split(node) if node.op_type == "Loop" and not node.domain else None
        nodes += [node] if found is None else found
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, graph.constants)


def _split(node: Node) -> list[Node] | None:
    """The Loop with what changes, after an Identity for each other value that it gives."""
    body = node.attributes.get("body")
    carried = len(node.inputs) - _BEFORE
    if not isinstance(body, Graph) or carried < 0:
        return None
    if len(body.inputs) != _BEFORE + carried or len(body.outputs) < 1 + carried:
        return None  # told when it is run
    defined = {*body.constants, *(e.name for e in body.inputs)}
    defined.update(name for each in body.nodes for name in each.outputs)
    same: dict[int, str] = {}  # by place among carried values: the value around the Loop
    for place, name in enumerate(node.inputs[_BEFORE:]):
        given = body.inputs[_BEFORE + place].name
        after = _origin(body, body.outputs[1 + place].name)
        if name and after == given and name not in defined:
            same[place] = name
    if not same:
        return None
    renamed = {body.inputs[_BEFORE + place].name: name for place, name in same.items()}
    made = node.with_inputs(_without(node.inputs, same, _BEFORE))
    made.outputs = _without(node.outputs, same, 0)
    made.attributes = node.attributes | {"body": _smaller(body, same, renamed)}
    identity = find("", "Identity", 1)
    assert identity is not None
    passed = [
        Node("Identity", "", f"{node.name}.{place}", [name], [node.outputs[place]], {}, identity, 1)
        for place, name in same.items()
        if place < len(node.outputs) and node.outputs[place]
    ]
    return [*passed, made]


def _origin(body: Graph, name: str) -> str:
    """The value that stands behind Identity nodes."""
    made = {node.outputs[0]: node for node in body.nodes if node.op_type == "Identity"}
    while name in made and not made[name].domain:
        name = made[name].inputs[0]
    return name


def _smaller(body: Graph, same: dict[int, str], renamed: dict[str, str]) -> Graph:
    inputs = _without(body.inputs, same, _BEFORE)
    outputs = [_with_name(each, renamed) for each in _without(body.outputs, same, 1)]
    nodes = [_renamed(node, renamed) for node in body.nodes]
    return Graph(body.name, nodes, inputs, outputs, body.constants)


def _renamed(node: Node, renamed: dict[str, str]) -> Node:
    """The node on other values, in its sub-graphs too."""
    made = node.with_inputs([renamed.get(name, name) for name in node.inputs])
    made.attributes = {
        name: _renamed_inside(value, renamed) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return made


def _renamed_inside(graph: Graph, renamed: dict[str, str]) -> Graph:
    used = {name: renamed[name] for name in outer_names(graph) if name in renamed}
    if not used:
        return graph
    nodes = [_renamed(node, used) for node in graph.nodes]
    outputs = [_with_name(each, used) for each in graph.outputs]
    return Graph(graph.name, nodes, graph.inputs, outputs, graph.constants)


def _with_name(info: ValueInfo, renamed: dict[str, str]) -> ValueInfo:
    return ValueInfo(renamed.get(info.name, info.name), info.type)


def _without(values: list[T], places: dict[int, str], before: int) -> list[T]:
    return [value for i, value in enumerate(values) if i - before not in places]
