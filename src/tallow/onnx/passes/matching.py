"""Who makes and who uses each value of a graph: for passes that replace several nodes by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tallow.dtype import bf16, f16, f64
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import outer_names
from tallow.tensor import Tensor

_ARITHMETIC: Final = ("Add", "Sub", "Mul", "Div")
# Relative; where it is not said: of five digits, which exporters write.
_ROUNDING: Final = {f16: 1e-3, bf16: 8e-3, f64: 1e-7}


class Matcher:
    """A graph while nodes are replaced; `result` gives it with what stands there then."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.constants = dict(graph.constants)
        self.transposed: dict[str, str] = {}  # names of transposed matrices by those of the others
        self._made: dict[str, Node] = {}
        self._users: dict[str, list[Node]] = {}
        self._kept = {each.name for each in graph.outputs}  # used by more than nodes
        self._places: dict[Node, int] = {}
        self._slots: list[Node | None] = []
        for node in graph.nodes:
            self._add(node, len(self._slots))
            self._slots.append(node)

    def _add(self, node: Node, place: int) -> None:
        self._places[node] = place
        for name in node.outputs:
            self._made[name] = node
        for name in node.inputs:
            self._users.setdefault(name, []).append(node)
        for each in node.graphs():
            self._kept.update(outer_names(each))

    # --- questions --------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """The nodes as they stand now, in order."""
        return [node for node in self._slots if node is not None]

    def stands(self, node: Node) -> bool:
        """Whether a node has not been replaced."""
        return node in self._places

    def maker(self, name: str, *op_types: str) -> Node | None:
        """The node that makes a value, if it is a standard operator of one of these types."""
        node = self._made.get(name)
        return node if node is not None and not node.domain and node.op_type in op_types else None

    def users(self, name: str) -> list[Node]:
        """The nodes that use a value, one as often as it does; none if more than nodes use it."""
        return [] if name in self._kept else self._users.get(name, [])

    def user(self, name: str, *op_types: str) -> Node | None:
        """The one node that uses a value, once, if it is of one of these types."""
        found = self.users(name)
        if len(found) != 1 or found[0].domain or found[0].op_type not in op_types:
            return None
        return found[0]

    def number(self, name: str) -> float | None:
        """A constant of one element, which adds no axes to another operand, as a number."""
        value = self.constants.get(name)
        if not isinstance(value, Tensor) or value.numel() != 1 or value.dtype.kind not in "fiu":
            return None
        if value.ndim > 1:
            return None
        return float(value.item())

    def rank(self, nodes: Iterable[Node]) -> int:
        """The most axes that a constant operand of arithmetic gives the results of nodes."""
        names = [n for node in nodes if node.op_type in _ARITHMETIC for n in node.inputs]
        return max((x.ndim for x in map(self.vector, names) if x is not None), default=0)

    def vector(self, name: str) -> Tensor | None:
        """A constant float tensor, as it is or behind Identity nodes, as exporters share them."""
        while name not in self.constants and (node := self.maker(name, "Identity")) is not None:
            name = node.inputs[0]
        value = self.constants.get(name)
        return value if isinstance(value, Tensor) and value.dtype.kind == "f" else None

    def operands(self, node: Node) -> tuple[str, float] | None:
        """The input of a node with two that is no constant number of floats, and that number."""
        first, second = node.inputs
        if self.vector(second) is not None and (number := self.number(second)) is not None:
            return first, number
        if self.vector(first) is not None and (number := self.number(first)) is not None:
            return second, number
        return None

    def factor(self, node: Node, wanted: float) -> bool:
        """Whether one operand of a node is a number up to the rounding of its dtype."""
        value = next((v for v in map(self.vector, node.inputs) if v is not None), None)
        found = self.operands(node)
        if value is None or found is None:
            return False
        return abs(found[1] - wanted) <= _ROUNDING.get(value.dtype, 2e-5) * abs(wanted)

    # --- changes ----------------------------------------------------------------------------------

    def constant(self, like: str, value: Tensor) -> str:
        """Add a constant under a new name made of another; gives the name."""
        name, count = like, 0
        while name in self.constants or name in self._made or name in self._users:
            count += 1
            name = f"{like}.{count}"
        self.constants[name] = value
        return name

    def replace(
        self, nodes: Iterable[Node], op_type: str, inputs: list[str], output: str,
        attributes: dict[str, Any] | None = None, *, domain: str = "tallow", opset: int = 1,
    ) -> None:  # fmt: skip
        """Put one node, which makes `output`, in the place of the last of several."""
        gone = list(nodes)
        row = find(domain, op_type, opset)
        assert row is not None, op_type
        place = max(self._places[node] for node in gone)
        for node in gone:
            self._slots[self._places.pop(node)] = None
            for name in node.inputs:
                self._users[name].remove(node)
        last = gone[-1]
        made = Node(op_type, domain, last.name, inputs, [output], attributes or {}, row, opset)
        self._add(made, place)
        self._slots[place] = made

    def result(self) -> Graph:
        """The graph with what has been replaced."""
        g = self._graph
        return Graph(g.name, self.nodes(), g.inputs, g.outputs, self.constants)
