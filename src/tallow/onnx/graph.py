"""The graph that is optimised and run: nodes know their row, constants are values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.formats.onnx import ValueInfo
from tallow.lazy_dataclasses import dataclass, field
from tallow.onnx.operators.table import Row


@dataclass(eq=False)
class Node:
    """A call of an operator; '' is an input or output that is left out.

    Values of `attributes` are Python's, tensors (as values) and Graphs.
    """

    op_type: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    row: Row
    opset: int

    @property
    def wanted(self) -> tuple[bool, ...]:
        """For each output, whether something uses it."""
        return tuple(bool(name) for name in self.outputs)

    def with_inputs(self, inputs: list[str]) -> Node:
        """The same call on other values."""
        return Node(
            self.op_type, self.domain, self.name, inputs, self.outputs, self.attributes, self.row,
            self.opset,
        )  # fmt: skip

    def with_graphs(self, change: Callable[[str, Graph], Graph]) -> Node:
        """The node with other sub-graphs: `change` makes them of an attribute's name and graph."""
        if not self.graphs():
            return self
        made = self.with_inputs(self.inputs)
        made.attributes = {
            name: change(name, value) if isinstance(value, Graph) else value
            for name, value in self.attributes.items()
        }
        return made

    def graphs(self) -> list[Graph]:
        """The sub-graphs among the attributes."""
        return [each for each in self.attributes.values() if type(each) is Graph]


@dataclass(eq=False)
class Graph:
    """Nodes in topological order; `constants` are values that are known before any input is.

    `optional` are constants that the file has among its inputs, too: a caller may give others.
    Once it has been made it stays as it is: passes give others.
    """

    name: str
    nodes: list[Node]
    inputs: list[ValueInfo]
    outputs: list[ValueInfo]
    constants: dict[str, Any] = field(default_factory=dict)
    optional: tuple[ValueInfo, ...] = ()
    outer: list[str] | None = None  # of `outer_names`, once they have been asked for
