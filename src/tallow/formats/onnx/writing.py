"""Writes ONNX files: graphs, nodes and tensors become messages of protobuf."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ArgumentError
from tallow.formats.mapping import path_text, unusable
from tallow.formats.onnx.graph import Function, Graph, Node, Reference, ValueInfo, ValueType
from tallow.formats.onnx.schema import MODEL
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import OF_DTYPE
from tallow.formats.protobuf import Record
from tallow.formats.protobuf_writing import encode_message
from tallow.formats.replacing import cleaned_at_signals
from tallow.lazy_dataclasses import dataclass, field

if TYPE_CHECKING:
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor

    Progress = Callable[[int, int], None]

# The IR that an opset of ai.onnx came with; runtimes refuse files of a later one than they know.
IR_OF_OPSET: Final = {7: 3, 9: 4, 10: 5, 12: 7, 15: 8, 19: 9, 21: 10, 23: 11, 24: 12, 25: 13}
MOST: Final = (1 << 31) - 1  # bytes of a message of protobuf
PIECE: Final = 4 << 20  # bytes that are written between two calls of a progress
SMALLEST: Final = 1024  # bytes of a tensor that is put into another file
ALIGN: Final = 1 << 16  # where such a tensor begins: what Windows maps


@dataclass
class OnnxModel:
    """What a file is to hold.

    The attributes of an `OnnxFile`, which may be written in its place.
    """

    graph: Graph
    opsets: Mapping[str, int]
    ir_version: int = 0  # 0: the one that the opset of ai.onnx came with
    producer: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    functions: Sequence[Function] = ()


def stored(name: str, tensor: Tensor) -> StoredTensor:
    """A tensor as a file holds it; its memory is lent if it is contiguous."""
    code = OF_DTYPE.get(tensor.dtype.name)
    if code is None:
        got = f"{tensor.dtype.name} of {name!r}"
        raise ArgumentError(f"onnx: expected a dtype that ONNX has, got {got}")
    from tallow.formats.writing import tensor_bytes

    tensor = tensor.detach().contiguous()
    data = b"".join(tensor_bytes(tensor)) if tensor.nbytes <= SMALLEST else _lent(tensor)
    return StoredTensor(name, code, tuple(tensor.shape), data)


def _lent(tensor: Tensor) -> Any:
    from tallow.formats.writing import tensor_bytes

    return next(tensor_bytes(tensor, tensor.nbytes))


def write_onnx(
    target: Target,
    model: Any,
    *,
    external_data: bool | str = "auto",
    progress: Progress | None = None,
) -> list[str]:
    """Write a model (`OnnxModel`, or an `OnnxFile` with its parts changed); gives the paths.

    Tensors of 1 kB and more go into a file beside it, `<path>.data`, where `external_data` is True,
    or is "auto" and the model would have 2 GB. Each file is written beside its place and renamed;
    `progress(done, size)` is told of bytes.

    Raises:
        ArgumentError: 2 GB or more without external data, or external data without a path.
        FormatError: the path cannot be written.
    """
    graph = model.graph
    size = sum(_size(each) for each in graph.initializers.values())
    outside = external_data is True or (external_data == "auto" and size > MOST - (64 << 20))
    if external_data not in (True, False, "auto"):
        raise ArgumentError(
            f"onnx: expected external_data of True, False or 'auto', got {external_data!r}"
        )
    if not isinstance(target, str | os.PathLike):
        if outside:
            raise ArgumentError(
                "onnx: expected a path, beside which external data lies, got a file"
            )
        if issubclass(type(target), io.TextIOBase) or not hasattr(target, "write"):
            raise ArgumentError(
                f"onnx: expected a path or a file opened in binary mode, got {target!r}"
            )
        for chunk in _model_chunks(model, {}):
            target.write(chunk)
        return []
    path = path_text(target)
    layout = _Layout(path, graph.initializers.values()) if outside else None
    chunks = _model_chunks(model, layout.records if layout else {})
    total = sum(map(len, chunks)) + (layout.size if layout else 0)
    files = [(path, iter(chunks))]
    if layout is not None:
        files.insert(0, (layout.path, layout.chunks()))
    _write_all(files, total, progress)
    return [path for path, _ in reversed(files)]


def _size(tensor: StoredTensor) -> int:
    return sum(map(len, tensor.data)) if tensor.type.name == "string" else len(tensor.data)


def _write_all(
    files: list[tuple[str, Iterator[Any]]], total: int, progress: Progress | None
) -> None:
    """All files beside their places, then all renamed: a failure before that leaves none."""
    from tallow.formats.replacing import Replacement, flush_folder

    made: list[Replacement] = []
    done, at = 0, files[0][0]
    try:
        with cleaned_at_signals():
            try:
                for at, chunks in files:
                    made.append(Replacement(at))
                    for chunk in _pieces(chunks):
                        made[-1].write(chunk)
                        done += len(chunk)
                        if progress is not None:
                            progress(done, total)
                    made[-1].finish()
                for one in made:
                    one.commit()
            finally:
                for one in made:
                    one.discard()
    except OSError as error:
        raise unusable(at, "a file that can be written", error) from error
    flush_folder(os.path.dirname(made[0].place) or ".")


def _pieces(chunks: Iterable[Any]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), PIECE):
            yield view[start : start + PIECE]


class _Layout:
    """Where tensors lie in the file of external data, and what their records say of it."""

    def __init__(self, path: str, tensors: Iterable[StoredTensor]) -> None:
        self.path = f"{path}.data"
        self.records: dict[str, list[Record]] = {}
        self._placed: list[tuple[int, StoredTensor]] = []
        self.size = 0
        location = os.path.basename(self.path)
        for tensor in tensors:
            if tensor.type.name == "string" or len(tensor.data) < SMALLEST:
                continue
            if len(tensor.data) >= ALIGN:
                self.size += -self.size % ALIGN
            entry = {"location": location, "offset": self.size, "length": len(tensor.data)}
            self.records[tensor.name] = [{"key": k, "value": str(v)} for k, v in entry.items()]
            self._placed.append((self.size, tensor))
            self.size += len(tensor.data)

    def chunks(self) -> Iterator[Any]:
        """The bytes of the file."""
        at = 0
        for start, tensor in self._placed:
            if start > at:
                yield bytes(start - at)
            yield tensor.data
            at = start + len(tensor.data)


def _model_chunks(model: Any, external: Mapping[str, list[Record]]) -> list[Any]:
    version = model.opsets.get("", 0)
    ir = model.ir_version or max((ir for o, ir in IR_OF_OPSET.items() if o <= version), default=3)
    record = {
        "ir_version": ir,
        "producer_name": model.producer or None,
        "graph": _graph(model.graph, external),
        "opset_import": _opsets(model.opsets),
        "metadata_props": [{"key": k, "value": v} for k, v in model.metadata.items()],
        "functions": [_function(each) for each in model.functions],
    }
    chunks = encode_message(record, MODEL)
    if chunks.size > MOST:
        raise ArgumentError(
            f"onnx: expected a model of at most 2 GB, got {chunks.size} bytes: external_data=True"
            " puts the weights into another file"
        )
    return chunks.parts


def _opsets(opsets: Mapping[str, int]) -> list[Record]:
    return [{"domain": domain, "version": version} for domain, version in opsets.items()]


def _graph(graph: Graph, external: Mapping[str, list[Record]]) -> Record:
    return {
        "name": graph.name,
        "node": [_node(each) for each in graph.nodes],
        "initializer": [_tensor(t, external.get(t.name)) for t in graph.initializers.values()],
        "input": [_value_info(each) for each in graph.inputs],
        "output": [_value_info(each) for each in graph.outputs],
        "value_info": [_value_info(each) for each in graph.value_infos.values()],
    }


def _node(node: Node) -> Record:
    return {
        "input": node.inputs,
        "output": node.outputs,
        "name": node.name or None,
        "op_type": node.op_type,
        "attribute": [_attribute(name, value) for name, value in node.attributes.items()],
        "domain": node.domain or None,
        "overload": node.overload or None,
    }


def _function(function: Function) -> Record:
    given = {n: v for n, v in function.attributes.items() if v is not ...}
    return {
        "name": function.name,
        "domain": function.domain,
        "overload": function.overload or None,
        "input": function.inputs,
        "output": function.outputs,
        "attribute": [name for name in function.attributes if name not in given],
        "attribute_proto": [_attribute(name, value) for name, value in given.items()],
        "node": [_node(each) for each in function.nodes],
        "opset_import": _opsets(function.opsets),
    }


# By a value's type: the field of AttributeProto, its AttributeType, and what is put there.
_ATTRIBUTES: Final[Mapping[type, tuple[str, int, Callable[[Any], Any]]]] = {
    float: ("f", 1, float),
    bool: ("i", 2, int),
    int: ("i", 2, int),
    str: ("s", 3, lambda value: value.encode("utf-8", "surrogateescape")),
    bytes: ("s", 3, bytes),
    StoredTensor: ("t", 4, lambda value: _tensor(value, None)),
    Graph: ("g", 5, lambda value: _graph(value, {})),
    ValueType: ("tp", 13, lambda value: _type(value)),
}
# The field of AttributeProto and its AttributeType for a list of such values.
_LISTS: Final = {
    "f": ("floats", 6), "i": ("ints", 7), "s": ("strings", 8), "t": ("tensors", 9),
    "g": ("graphs", 10), "tp": ("type_protos", 14),
}  # fmt: skip


def _attribute(name: str, value: Any) -> Record:
    if isinstance(value, Reference):
        return {"name": name, "ref_attr_name": value.name, "type": getattr(value, "type", 0)}
    several = isinstance(value, list | tuple)
    kinds = {type(each) for each in value} if several else {type(value)}
    kind = float if float in kinds else next(iter(kinds), int)
    row = _ATTRIBUTES.get(kind)
    if row is None or (len(kinds) > 1 and not kinds <= {float, int, bool}):
        raise ArgumentError(
            f"onnx: expected an attribute {name!r} of a type of ONNX, got {value!r}"
        )
    where, code, convert = row
    if not several:
        return {"name": name, where: convert(value), "type": code}
    where, code = _LISTS[where]
    return {"name": name, where: [convert(each) for each in value], "type": code}


def _value_info(info: ValueInfo) -> Record:
    return {"name": info.name, "type": None if info.type is None else _type(info.type)}


def _type(kind: ValueType) -> Record:
    inner = None if kind.element is None else _type(kind.element)
    if kind.kind in ("tensor", "sparse_tensor"):
        record: Record = {"elem_type": kind.elem_type}
        if kind.shape is not None:
            record["shape"] = {"dim": [_dimension(each) for each in kind.shape]}
        return {f"{kind.kind}_type": record}
    if kind.kind == "map":
        return {"map_type": {"key_type": kind.elem_type, "value_type": inner}}
    return {f"{kind.kind}_type": {"elem_type": inner}}


def _dimension(length: int | str | None) -> Record:
    if length is None:
        return {}
    return {"dim_param" if isinstance(length, str) else "dim_value": length}


def _tensor(tensor: StoredTensor, external: list[Record] | None) -> Record:
    record: Record = {
        "dims": tensor.shape, "data_type": tensor.elem_type, "name": tensor.name or None,
    }  # fmt: skip
    if external is not None:
        return record | {"external_data": external, "data_location": 1}
    return record | {"string_data" if tensor.type.name == "string" else "raw_data": tensor.data}


__all__ = ["OnnxModel", "stored", "write_onnx"]
