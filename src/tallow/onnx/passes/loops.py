"""What a Loop's body never changes, and products of that, become values of the graph around it."""

from __future__ import annotations

from typing import Any, TypeVar

from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import outer_names
from tallow.tensor import Tensor

T = TypeVar("T")

_BEFORE = 2  # inputs of a Loop, and of its body, before the values that it carries
# Worth computing before a Loop that may make no iteration, with what leads to them.
_PRODUCTS = ("MatMul", "Gemm", "Conv")
_MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Identity", "Constant")


def without_invariants(graph: Graph) -> Graph:
    """The graph with Loops that carry only what changes, and no products of what does not.

    Exporters pass weights through each iteration; as values from outside they are constants of the
    body. Products of these and of other values from outside (an encoder's results, that attention
    of each step projects) are computed once, before the Loop.
    """
    nodes: list[Node] = []
    constants = graph.constants
    taken = _all_names(graph) if any(node.op_type == "Loop" for node in graph.nodes) else set()
    for node in graph.nodes:
        is_loop = node.op_type == "Loop" and not node.domain
        found = (_split(node, graph.constants) if is_loop else None) or [node]
        if is_loop and isinstance(found[-1].attributes.get("body"), Graph):
            before, loop, more = _without_products(found[-1], taken)
            found[-1:] = [*before, loop]
            constants = constants | more
        nodes += found
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, constants)


def _without_products(node: Node, taken: set[str]) -> tuple[list[Node], Node, dict[str, Any]]:
    """Nodes for before a Loop, the Loop without them, and constants that they use.

    Names that they bring are added to those that are `taken`.
    """
    body: Graph = node.attributes["body"]
    moved, needed = _steady_products(body)
    if not moved:
        return [], node, {}
    made_there = [name for each in moved for name in each.outputs if name]
    constants = [name for name in body.constants if name in needed]
    prefix = _free_prefix(node, [*made_there, *constants], taken)
    renamed = {name: f"{prefix}/{name}" for name in made_there}
    shared = {f"{prefix}/{name}": body.constants[name] for name in constants}
    inside = renamed | {name: f"{prefix}/{name}" for name in constants}
    before = [_renamed(each, inside) for each in moved]
    for made, each in zip(before, moved, strict=True):
        made.outputs = [renamed.get(name, name) for name in each.outputs]
    rest = [_renamed(each, renamed) for each in body.nodes if each not in moved]
    outputs = [_with_name(each, renamed) for each in body.outputs]
    made = node.with_inputs(node.inputs)
    smaller = Graph(body.name, rest, body.inputs, outputs, body.constants)
    made.attributes = node.attributes | {"body": smaller}
    return before, made, shared


def _steady_products(body: Graph) -> tuple[list[Node], set[str]]:
    """Products of what does not change, with what leads to them, and all that they read."""
    changing = {e.name for e in body.inputs}
    steady: list[Node] = []
    for each in body.nodes:
        plain = not each.domain and each.op_type in _PRODUCTS + _MOVES
        if plain and changing.isdisjoint(each.inputs):
            steady.append(each)
        else:
            changing.update(each.outputs)
    needed: set[str] = set()
    moved: list[Node] = []
    for each in reversed(steady):
        if each.op_type in _PRODUCTS or not needed.isdisjoint(each.outputs):
            needed.update(each.inputs)
            moved.insert(0, each)
    return moved, needed


def _free_prefix(node: Node, names: list[str], taken: set[str]) -> str:
    """What makes names of a Loop's body into names that nothing else has, in any graph around."""
    prefix = next(name for name in (*node.outputs, node.name) if name)
    while not taken.isdisjoint([f"{prefix}/{name}" for name in names]):
        prefix += "/"
    taken.update([f"{prefix}/{name}" for name in names])
    return prefix


def _all_names(graph: Graph) -> set[str]:
    """The names of values of a graph and its sub-graphs, and of those around that they use."""
    found = {*graph.constants, *(each.name for each in graph.inputs)}
    for node in graph.nodes:
        found.update(node.inputs, node.outputs)
        found.update(*map(_all_names, node.graphs()))
    return found


def _split(node: Node, around: dict[str, Any]) -> list[Node] | None:
    """The Loop with what changes, after an Identity for each other value that it gives.

    `around`: constants of the graph that it stands in.
    """
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
        after = _origin(body, body.outputs[1 + place].name, around | body.constants)
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


def _origin(body: Graph, name: str, constants: dict[str, Any]) -> str:
    """The value behind nodes that change nothing: Identity, and what Paddle writes for `assign`.

    That is Unsqueeze, Add of a zero, Squeeze.
    """
    made = {node.outputs[0]: node for node in body.nodes if not node.domain}
    found = name
    squeezed: list[Any] = []  # axes that have to be added yet
    while found in made:
        node = made[found]
        if node.op_type == "Squeeze":
            squeezed.append(_axes(body, node, constants))
        elif node.op_type == "Unsqueeze":
            if not squeezed or squeezed.pop() != _axes(body, node, constants):
                return name
        elif node.op_type == "Add":
            if not squeezed or not _is_zero(_constant(body, node.inputs[1], constants)):
                return name
        elif node.op_type != "Identity":
            break
        found = node.inputs[0]
    return name if squeezed else found


def _axes(body: Graph, node: Node, constants: dict[str, Any]) -> Any:
    """Constant axes as numbers; what equals no other axes if they are not constant."""
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = _constant(body, node.inputs[1], constants)
    return axes.tolist() if isinstance(axes, Tensor) else axes if axes else object()


def _constant(body: Graph, name: str, constants: dict[str, Any]) -> Any:
    """A constant's value; None of all else."""
    given = (n for n in body.nodes if n.op_type == "Constant" and n.outputs[0] == name)
    node = next(given, None)
    return constants.get(name) if node is None else node.attributes.get("value")


def _is_zero(value: Any) -> bool:
    return isinstance(value, Tensor) and value.shape in ((), (1,)) and value.item() == 0


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
