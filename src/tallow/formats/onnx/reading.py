"""Opens ONNX files: messages of protobuf become graphs, nodes and tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from tallow.errors import FormatError
from tallow.formats.mapping import opening, shown
from tallow.formats.onnx.collector import collector_at_rest
from tallow.formats.onnx.external import ExternalData
from tallow.formats.onnx.graph import Function, Graph, Node, Reference, ValueInfo, ValueType
from tallow.formats.onnx.schema import MODEL, VALUE_INFO
from tallow.formats.onnx.tensor_reading import TensorReader
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.protobuf import Record, read_message

if TYPE_CHECKING:
    from tallow.formats.mapping import Source

IR_VERSIONS: Final = range(3, 15)


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
    """An ONNX model: its graph, functions, opsets and metadata; tensors are views of the file.

    `opsets` has the version of each domain that is imported, that of ai.onnx under ''.
    """

    def __init__(self, source: Source) -> None:
        with opening(source) as self._map:
            self.path = self._map.path
            in_memory = self.path.startswith("<")
            self._external = ExternalData(self.path, in_memory=in_memory)
            try:
                with collector_at_rest():
                    self._read()
            except BaseException:
                self._external.close()
                raise

    def _read(self) -> None:
        record = read_message(self._map.buffer, MODEL, self.path)
        self.ir_version: int = record.get("ir_version", 0)
        if self.ir_version not in IR_VERSIONS:
            wanted = f"{IR_VERSIONS[0]} to {IR_VERSIONS[-1]}"
            got = self.ir_version if "ir_version" in record else "none (no ONNX model?)"
            raise FormatError(self.path, "ModelProto.ir_version", wanted, got)
        if "graph" not in record:
            raise FormatError(self.path, "ModelProto.graph", "a graph", "none")
        reader = _Reader(self.path, TensorReader(self.path, self._map.size, self._external))
        texts = ("producer_name", "producer_version", "domain", "doc_string")
        producer, version, domain, text = (record.get(name, "") for name in texts)
        graph = record["graph"]
        self.info = ModelInfo(
            self.ir_version, producer, version, domain, record.get("model_version"), text,
            graph.get("name", ""), graph.get("doc_string", ""),
        )  # fmt: skip
        self.producer = self.info.producer
        self.opsets = reader.opsets(record, "ModelProto")
        self.metadata = {
            e.get("key", ""): e.get("value", "") for e in record.get("metadata_props", ())
        }
        self.functions = [reader.function(each) for each in record.get("functions", ())]
        self.graph = reader.graph(graph)

    def verify(self) -> None:
        """Read the files of external data in full and compare them with the checksums stated.

        Raises:
            FormatError: a file is another than the model was written with.
        """
        self._external.verify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def release_pages(self) -> None:
        """Unmap what was touched of the file; it comes back from the system's cache when used.

        Weights at odd addresses have been copied: their pages would count twice.
        """
        from tallow.formats.zip_map import release_pages

        release_pages(self._map.buffer)

    def close(self) -> None:
        """Let go of the files; tensors that were taken keep them."""
        self._map.close()
        self._external.close()


def open_onnx(source: Source) -> OnnxFile:
    """The model in an ONNX file, mapped, with the files of external data beside it.

    Raises:
        FormatError: it is anything else, or a part of it is missing or not what it says.
    """
    return OnnxFile(source)


class _Infos(Mapping[str, ValueInfo]):
    """What a file says of the values between nodes, read when it is asked for."""

    def __init__(self, reader: _Reader, parts: list[memoryview]) -> None:
        self._reader, self._parts = reader, parts
        self._found: dict[str, ValueInfo] | None = None

    def _read(self) -> dict[str, ValueInfo]:
        if self._found is None:
            path = self._reader.path
            records = [read_message(each, VALUE_INFO, path) for each in self._parts]
            self._found = {e.name: e for e in map(self._reader.value_info, records)}
            self._parts = []
        return self._found

    def __getitem__(self, name: str) -> ValueInfo:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class _Reader:
    def __init__(self, path: str, tensors: TensorReader) -> None:
        self.path, self.tensors = path, tensors

    def opsets(self, record: Record, where: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in record.get("opset_import", ()):
            domain, version = _domain(each), each.get("version", 0)
            if found.setdefault(domain, version) != version:
                field = f"{where}.opset_import of {shown(domain or 'ai.onnx')}"
                raise FormatError(self.path, field, "one version", f"{found[domain]} and {version}")
        return found

    def graph(self, record: Record) -> Graph:
        name = record.get("name", "")
        initializers: dict[str, StoredTensor] = {}
        for given, read in (
            (record.get("initializer", ()), self.tensors.tensor),
            (record.get("sparse_initializer", ()), self.tensors.sparse),
        ):
            for each in given:
                named = each if read == self.tensors.tensor else each.get("values", {})
                tensor = read(each, f"initializer {shown(named.get('name', ''))}")
                if not tensor.name or tensor.name in initializers:
                    where = f"graph {shown(name)} initializer"
                    raise FormatError(self.path, where, "names of their own", shown(tensor.name))
                initializers[tensor.name] = tensor
        infos: Any = record.get("value_info")
        return Graph(
            name,
            [self.node(each) for each in record.get("node", ())],
            [self.value_info(each) for each in record.get("input", ())],
            [self.value_info(each) for each in record.get("output", ())],
            initializers,
            _Infos(self, infos) if infos else {},
        )

    def function(self, record: Record) -> Function:
        name = record.get("name", "")
        attributes: dict[str, Any] = dict.fromkeys(record.get("attribute", ()), ...)
        for each in record.get("attribute_proto", ()):
            attributes[each.get("name", "")] = self.attribute(each, record)
        return Function(
            name, _domain(record), record.get("overload", ""),
            record.get("input", []), record.get("output", []), attributes,
            [self.node(each) for each in record.get("node", ())],
            self.opsets(record, f"function {shown(name)}"),
        )  # fmt: skip

    def node(self, record: Record) -> Node:
        get = record.get
        given = get("attribute", ())
        attributes = {each.get("name", ""): self.attribute(each, record) for each in given}
        if len(attributes) != len(given):
            names = [each.get("name", "") for each in given]
            twice = next(name for name in names if names.count(name) > 1)
            raise FormatError(self.path, _called(record), "attributes once each", shown(twice))
        domain = get("domain", "")
        return Node(
            get("op_type", ""), "" if domain == "ai.onnx" else domain, get("name", ""),
            get("input", []), get("output", []), attributes, get("overload", ""),
        )  # fmt: skip

    def attribute(self, record: Record, owner: Record) -> Any:
        """The value that an attribute's type names; files older than types name none."""
        if name := record.get("ref_attr_name"):
            return Reference(name)
        kind = record.get("type", 0) or _guessed(record)
        field, default = _ATTRIBUTES.get(kind, ("", None))
        value = record.get(field, default)
        plain = _PLAIN.get(field)
        if plain is not None:
            return plain(value)
        where = f"{_called(owner)} attribute {shown(record.get('name', ''))}"
        if value is None:
            raise FormatError(self.path, where, "a value of its type", f"none of type {kind}")
        return _CONVERT[field](self, value, where)

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


def _shape(record: Record | None) -> tuple[int | str | None, ...] | None:
    if record is None:
        return None
    return tuple(
        value if (value := each.get("dim_value", -1)) >= 0 else each.get("dim_param") or None
        for each in record.get("dim", ())  # some exporters write -1 for any length
    )


def _domain(record: Record) -> str:
    domain: str = record.get("domain", "")
    return "" if domain == "ai.onnx" else domain


def _guessed(record: Record) -> int:
    return next((kind for kind, (field, _) in _ATTRIBUTES.items() if field in record), 0)


def _called(record: Record) -> str:
    """What errors call a node or a function."""
    if "op_type" in record:
        return f"node {shown(record.get('name', ''))} ({shown(record['op_type'])[1:-1]})"
    return f"function {shown(record.get('name', ''))}"


def _text(value: Any) -> str:
    return str(value, "utf-8", "surrogateescape")


# By AttributeProto.AttributeType: the field, and the value of one that is not written.
_ATTRIBUTES: Final[Mapping[int, tuple[str, Any]]] = {
    1: ("f", 0.0), 2: ("i", 0), 3: ("s", b""), 4: ("t", None), 5: ("g", None), 6: ("floats", ()),
    7: ("ints", ()), 8: ("strings", ()), 9: ("tensors", ()), 10: ("graphs", ()),
    11: ("sparse_tensor", None), 12: ("sparse_tensors", ()),
    13: ("tp", None), 14: ("type_protos", ()),
}  # fmt: skip
_PLAIN: Final[Mapping[str, Any]] = {
    "i": int, "f": float, "s": _text, "ints": list, "floats": list,
    "strings": lambda value: [_text(each) for each in value],
}  # fmt: skip
# By the field: the value, from a reader, what the field holds, and what errors call it.
_CONVERT: Final[Mapping[str, Any]] = {
    "t": lambda reader, value, owner: reader.tensors.tensor(value, owner),
    "g": lambda reader, value, owner: reader.graph(value),
    "tensors": lambda reader, value, owner: [reader.tensors.tensor(e, owner) for e in value],
    "graphs": lambda reader, value, owner: [reader.graph(each) for each in value],
    "sparse_tensor": lambda reader, value, owner: reader.tensors.sparse(value, owner),
    "sparse_tensors": lambda reader, value, owner: [reader.tensors.sparse(e, owner) for e in value],
    "tp": lambda reader, value, owner: reader.type(value),
    "type_protos": lambda reader, value, owner: [reader.type(each) for each in value],
}
