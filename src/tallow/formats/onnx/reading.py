"""Opens ONNX files: messages of protobuf become graphs, nodes and tensors."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, element_count, shown
from tallow.formats.onnx.graph import Function, Graph, Node, Reference, ValueInfo, ValueType
from tallow.formats.onnx.schema import MODEL
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import TYPES
from tallow.formats.protobuf import Record, read_message

if TYPE_CHECKING:
    from tallow.formats.mapping import Source


class ModelInfo(NamedTuple):
    """What a file says of itself."""

    ir_version: int
    producer_name: str
    producer_version: str
    domain: str
    version: int | None
    description: str
    graph_name: str
    graph_description: str

    @property
    def producer(self) -> str:
        """What wrote the file, with its version."""
        return " ".join(filter(None, (self.producer_name, self.producer_version)))


class OnnxFile:
    """An ONNX model: its graph, functions, opsets and metadata; tensors are views of the file."""

    def __init__(self, source: Source) -> None:
        self._map = FileMap(source)
        self.path = self._map.path
        record = read_message(self._map.buffer, MODEL, self.path)
        reader = _Reader(self.path)
        self.ir_version: int = record.get("ir_version", 0)
        texts = ("producer_name", "producer_version", "domain", "doc_string")
        producer, version, domain, text = (record.get(name, "") for name in texts)
        graph = record.get("graph", {})
        self.info = ModelInfo(
            self.ir_version, producer, version, domain, record.get("model_version"), text,
            graph.get("name", ""), graph.get("doc_string", ""),
        )  # fmt: skip
        self.producer = self.info.producer
        self.opsets = _opsets(record)
        self.metadata = {
            e.get("key", ""): e.get("value", "") for e in record.get("metadata_props", [])
        }
        self.functions = [reader.function(each) for each in record.get("functions", [])]
        self.graph = reader.graph(record.get("graph", {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; tensors that were taken keep it."""
        self._map.close()


def open_onnx(source: Source) -> OnnxFile:
    """The model in an ONNX file, mapped; FormatError for anything else."""
    return OnnxFile(source)


def _opsets(record: Record) -> dict[str, int]:
    found = {e.get("domain", ""): e.get("version", 0) for e in record.get("opset_import", [])}
    if "ai.onnx" in found:
        found.setdefault("", found.pop("ai.onnx"))
    return found


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path

    def graph(self, record: Record) -> Graph:
        tensors = [self.tensor(each) for each in record.get("initializer", [])]
        infos = [self.value_info(each) for each in record.get("value_info", [])]
        return Graph(
            record.get("name", ""),
            [self.node(each) for each in record.get("node", [])],
            [self.value_info(each) for each in record.get("input", [])],
            [self.value_info(each) for each in record.get("output", [])],
            {each.name: each for each in tensors},
            {each.name: each for each in infos},
        )

    def function(self, record: Record) -> Function:
        attributes: dict[str, Any] = dict.fromkeys(record.get("attribute", []), ...)
        for each in record.get("attribute_proto", []):
            attributes[each.get("name", "")] = self.attribute(each)
        return Function(
            record.get("name", ""), _domain(record), record.get("overload", ""),
            record.get("input", []), record.get("output", []), attributes,
            [self.node(each) for each in record.get("node", [])], _opsets(record),
        )  # fmt: skip

    def node(self, record: Record) -> Node:
        attributes = {e.get("name", ""): self.attribute(e) for e in record.get("attribute", [])}
        return Node(
            record.get("op_type", ""), _domain(record), record.get("name", ""),
            record.get("input", []), record.get("output", []), attributes,
            record.get("overload", ""),
        )  # fmt: skip

    def attribute(self, record: Record) -> Any:
        """The value that an attribute's type names; files older than types name none."""
        if name := record.get("ref_attr_name"):
            return Reference(name)
        kind = record.get("type", 0) or _guessed(record)
        field, default = _ATTRIBUTES.get(kind, ("", None))
        value = record.get(field, default)
        if value is None:
            where = f"attribute {shown(record.get('name', ''))}"
            raise FormatError(self.path, where, "a value", f"none of type {kind}")
        if kind in _CONVERT:
            return _CONVERT[kind](self, value)
        return value

    def value_info(self, record: Record) -> ValueInfo:
        return ValueInfo(record.get("name", ""), self.type(record.get("type", {})))

    def type(self, record: Record) -> ValueType | None:
        for kind in ("tensor", "sparse_tensor"):
            if (found := record.get(f"{kind}_type")) is not None:
                return ValueType(kind, found.get("elem_type", 0), _shape(found.get("shape")))
        for kind in ("sequence", "optional"):
            if (found := record.get(f"{kind}_type")) is not None:
                return ValueType(kind, element=self.type(found.get("elem_type", {})))
        if (found := record.get("map_type")) is not None:
            return ValueType(
                "map", found.get("key_type", 0), element=self.type(found.get("value_type", {}))
            )
        return None

    def tensor(self, record: Record) -> StoredTensor:
        name, code = record.get("name", ""), record.get("data_type", 0)
        where = f"tensor {shown(name)}"
        row = TYPES.get(code)
        if row is None:
            raise FormatError(self.path, f"{where} data_type", "a type of ONNX", code)
        shape = tuple(record.get("dims", ()))
        count = element_count(shape) if all(d >= 0 for d in shape) else None
        if count is None:
            raise FormatError(self.path, f"{where} dims", "lengths of a tensor", shown(shape))
        if record.get("data_location", 0) == 1:
            raise FormatError(self.path, where, "data in this file", "external data")
        if row.name == "string":
            data: Any = record.get("string_data", [])
            got, wanted = len(data), count
        else:
            data = record.get("raw_data")
            if data is None:
                data = _typed(record.get(row.field, array("B")), code)
            got, wanted = len(data), (count * row.bits + 7) // 8
        if got != wanted:
            raise FormatError(self.path, where, f"{wanted} bytes for {shape}", got)
        return StoredTensor(name, code, shape, data)


def _typed(values: Any, code: int) -> memoryview:
    """Bytes of elements that stand as numbers in a field that may be wider than they are."""
    row = TYPES[code]
    view = memoryview(values)
    if row.field in ("float_data", "double_data") or row.bits == view.itemsize * 8:
        return view.cast("B")
    form = {8: "B", 16: "H", 32: "I"}[max(row.bits, 8)]
    mask = (1 << max(row.bits, 8)) - 1
    return memoryview(array(form, [each & mask for each in values])).cast("B")


def _shape(record: Record | None) -> tuple[int | str | None, ...] | None:
    if record is None:
        return None
    return tuple(
        value if (value := each.get("dim_value", -1)) >= 0 else each.get("dim_param") or None
        for each in record.get("dim", [])  # some exporters write -1 for any length
    )


def _domain(record: Record) -> str:
    domain = record.get("domain", "")
    return "" if domain == "ai.onnx" else domain


def _guessed(record: Record) -> int:
    return next((kind for kind, (field, _) in _ATTRIBUTES.items() if field in record), 0)


def _text(_: _Reader, value: Any) -> str:
    return bytes(value).decode("utf-8", "surrogateescape")


# By AttributeProto.AttributeType: the field, and the value of one that is not written.
_ATTRIBUTES: Mapping[int, tuple[str, Any]] = {
    1: ("f", 0.0), 2: ("i", 0), 3: ("s", b""), 4: ("t", None), 5: ("g", None), 6: ("floats", ()),
    7: ("ints", ()), 8: ("strings", ()), 9: ("tensors", ()), 10: ("graphs", ()),
    13: ("tp", None), 14: ("type_protos", ()),
}  # fmt: skip
_CONVERT: Mapping[int, Any] = {
    3: _text,
    4: lambda r, v: r.tensor(v),
    5: lambda r, v: r.graph(v),
    6: lambda _, v: list(v),
    7: lambda _, v: list(v),
    8: lambda r, v: [_text(r, each) for each in v],
    9: lambda r, v: [r.tensor(each) for each in v],
    10: lambda r, v: [r.graph(each) for each in v],
    13: lambda r, v: r.type(v),
    14: lambda r, v: [r.type(each) for each in v],
}
