"""Models back to ONNX files, with their weights as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.formats import onnx as files
from tallow.formats.onnx.tensors import StoredTensor, packed_6
from tallow.formats.onnx.types import CODES, OF_NUMPY, TYPES
from tallow.formats.onnx.writing import OnnxModel, stored, write_onnx
from tallow.onnx.graph import Graph, Node
from tallow.onnx.weights import with_file_layout
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.formats.writing import Target
    from tallow.onnx.model import Model


def save(
    model: Model,
    target: Target,
    *,
    external_data: bool | str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write a model with its weights as they are; gives the paths, each whole or not there.

    Functions are inlined. Weights have the file's dtypes and layout again: those that were
    converted or quantised are written with the values that they have now. `external_data` and
    `progress` are those of `export`.

    Raises:
        ModelError: operators of one domain are of several opsets, in functions of the file.
        FormatError: the path cannot be written.
    """
    graph = with_file_layout(model._graph, model.weights)
    made = OnnxModel(
        _graph(graph, [*graph.inputs, *model.optional_inputs]), _opsets(graph, model.opsets),
        model.info.ir_version, model.info.producer, model.metadata,
    )  # fmt: skip
    return write_onnx(target, made, external_data=external_data, progress=progress)


def _opsets(graph: Graph, given: Mapping[str, int]) -> dict[str, int]:
    """The opset of each domain, which all nodes must have in common."""
    found = dict(given)
    seen: dict[str, int] = {}
    for node in _nodes(graph):
        other = seen.setdefault(node.domain, node.opset)
        if other != node.opset:
            raise ModelError(
                f"save: expected one opset of {node.domain or 'ai.onnx'}, got {other} and "
                f"{node.opset} (of a function)"
            )
    return found | seen


def _nodes(graph: Graph) -> list[Node]:
    found = []
    for node in graph.nodes:
        found.append(node)
        for inner in node.graphs():
            found += _nodes(inner)
    return found


def _graph(graph: Graph, inputs: list[files.ValueInfo]) -> files.Graph:
    nodes = [
        files.Node(
            each.row.op_type, each.domain, each.name, list(each.inputs), list(each.outputs),
            {name: _attribute(value) for name, value in each.attributes.items()},
        )
        for each in graph.nodes
    ]  # fmt: skip
    tensors = {name: _tensor(name, value) for name, value in graph.constants.items()}
    return files.Graph(graph.name, nodes, inputs, graph.outputs, tensors)


def _attribute(value: Any) -> Any:
    if isinstance(value, Graph):
        return _graph(value, value.inputs)
    if isinstance(value, list | tuple):
        return [_attribute(each) for each in value]
    return _tensor("", value) if hasattr(value, "dtype") else value


def _tensor(name: str, value: Any) -> StoredTensor:
    if isinstance(value, Tensor):
        return stored(name, value)
    return _host(name, value)


def _host(name: str, array: Any) -> StoredTensor:
    """A numpy array as a file holds it: strings as UTF-8, elements below a byte packed."""
    if array.dtype.kind in "OUST":
        texts = [str(each).encode("utf-8", "surrogateescape") for each in array.reshape(-1)]
        return StoredTensor(name, CODES["string"], tuple(array.shape), texts)
    code = OF_NUMPY[array.dtype.name]
    bits = TYPES[code].bits
    raw = array.tobytes()
    if bits == 6:
        raw = packed_6(array.reshape(-1).view("uint8")).tobytes()
    elif bits < 8:
        parts = 8 // bits
        whole = raw + bytes(-len(raw) % parts)
        mask = (1 << bits) - 1
        raw = bytes(
            sum((whole[at + i] & mask) << (i * bits) for i in range(parts))
            for at in range(0, len(whole), parts)
        )
    return StoredTensor(name, code, tuple(array.shape), raw)
