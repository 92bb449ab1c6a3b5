"""What an ONNX file says, as plain objects: graphs, nodes, types; no operator has a meaning yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import TYPES
from tallow.lazy_dataclasses import dataclass, field

if TYPE_CHECKING:
    from tallow.dtype import DType

Dimension: TypeAlias = int | str | None  # a length, the name of one, or unknown


@dataclass(frozen=True)
class ValueType:
    """The type of a value.

    `kind` is tensor, sparse_tensor, sequence, optional or map; `elem_type` the code of a tensor's
    elements (or of a map's keys), `shape` is None where nothing is said; `element` is what a
    sequence, an optional or a map holds.
    """

    kind: str
    elem_type: int = 0
    shape: tuple[Dimension, ...] | None = None
    element: ValueType | None = None


@dataclass(frozen=True)
class ValueInfo:
    """A named value and its type, None where the file says nothing."""

    name: str
    type: ValueType | None

    @property
    def shape(self) -> tuple[Dimension, ...] | None:
        """The lengths of a tensor (numbers, names, or None), if the file says how many axes."""
        return None if self.type is None else self.type.shape

    @property
    def dtype(self) -> DType | None:
        """The dtype of a tensor; None where there is none of ours, or no tensor."""
        if self.type is None or self.type.kind != "tensor":
            return None
        from tallow.dtype import by_name

        row = TYPES.get(self.type.elem_type)
        return None if row is None or row.dtype is None else by_name(row.dtype)


@dataclass(slots=True)
class Node:
    """A call of an operator; an input or output that is left out is called ''.

    Values of `attributes` are int, float, str, StoredTensor, Graph, ValueType, Reference, or lists.
    """

    op_type: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    overload: str = ""


@dataclass(frozen=True)
class Reference:
    """In a function: an attribute that is given by the call."""

    name: str


@dataclass
class Graph:
    """Nodes, mostly in topological order; sub-graphs may use values of the graphs around them."""

    name: str
    nodes: list[Node]
    inputs: list[ValueInfo]
    outputs: list[ValueInfo]
    initializers: dict[str, StoredTensor] = field(default_factory=dict)
    value_infos: Mapping[str, ValueInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Function:
    """A function of a model; `attributes` maps names to defaults, `...` where there is none."""

    name: str
    domain: str
    overload: str
    inputs: list[str]
    outputs: list[str]
    attributes: Mapping[str, Any]
    nodes: list[Node]
    opsets: Mapping[str, int]
