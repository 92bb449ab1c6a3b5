"""`tallow inspect` of an ONNX model: inputs, outputs, operators and weights of its graphs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tallow.formats.onnx import Graph, Node, OnnxFile, StoredTensor, ValueInfo

SMALL = 16  # elements of a Constant that is no weight worth a line
PLACES = ("graph", "sub-graphs", "functions")

# The tag of ir_version, and those that may come after it in a ModelProto.
_IR, _NEXT = 0x08, frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})


def is_onnx(path: Any) -> bool:
    """Whether a file is named as an ONNX model, or begins as one."""
    from pathlib import Path

    path = Path(path)
    if not path.is_file():
        return False
    if path.suffix == ".onnx":
        return True
    with path.open("rb") as file:
        head = file.read(3)
    return len(head) == 3 and head[0] == _IR and 3 <= head[1] <= 32 and head[2] in _NEXT


class Operator(NamedTuple):
    """An operator of a file: how often it stands where, and whether there is a row for it."""

    domain: str
    op_type: str
    opset: int
    counts: dict[str, int]
    known: bool

    @property
    def name(self) -> str:
        """With its domain, if that is not the standard's."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type


class Stored(NamedTuple):
    """A tensor of a file, with the sub-graph that it is in."""

    name: str
    tensor: StoredTensor
    where: str  # "" in the main graph
    constant: bool  # of a Constant node


def inspect_onnx(path: Any, json: bool, full: bool) -> None:
    """Print what stands in an ONNX file; no weight is read."""
    from tallow.cli.output import print_json
    from tallow.formats.onnx import open_onnx

    with open_onnx(path) as file:
        if json:
            print_json(_described(file))
        else:
            _show(file, full)


# --- what is there --------------------------------------------------------------------------------


def operators(file: OnnxFile) -> list[Operator]:
    """The operators of all graphs, the most frequent first; functions are not counted as such."""
    from tallow.onnx.operators import find

    functions = {(f.domain, f.name) for f in file.functions}
    counts: dict[tuple[str, str, int], dict[str, int]] = {}

    def count(nodes: list[Node], opsets: Any, place: str) -> None:
        for node in nodes:
            if (node.domain, node.op_type) not in functions:
                key = (node.domain, node.op_type, opsets.get(node.domain, 1))
                row = counts.setdefault(key, dict.fromkeys(PLACES, 0))
                row[place] += 1
            for _, graph in _graphs(node):
                count(graph.nodes, opsets, "sub-graphs" if place == "graph" else place)

    count(file.graph.nodes, file.opsets, "graph")
    for function in file.functions:
        count(function.nodes, function.opsets, "functions")
    found = [
        Operator(*key, row, key[:2] == ("", "Constant") or find(*key) is not None)
        for key, row in counts.items()
    ]
    return sorted(found, key=lambda each: (-sum(each.counts.values()), each.name))


def tensors(graph: Graph, where: str = "") -> Iterator[Stored]:
    """The initialisers and constants of a graph and its sub-graphs."""
    for name, tensor in graph.initializers.items():
        yield Stored(name, tensor, where, False)
    for node in graph.nodes:
        if node.op_type == "Constant" and hasattr(node.attributes.get("value"), "elem_type"):
            yield Stored(node.outputs[0], node.attributes["value"], where, True)
        for name, inner in _graphs(node):
            yield from tensors(inner, f"{where}{node.name or node.outputs[0]}/{name}/")


def _graphs(node: Node) -> Iterator[tuple[str, Graph]]:
    from tallow.formats.onnx import Graph

    for name, value in node.attributes.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Graph):
                yield name, each


def nbytes(tensor: StoredTensor) -> int:
    """The bytes that its elements take."""
    if tensor.type.name == "string":
        return sum(map(len, tensor.data))
    return (math.prod(tensor.shape) * tensor.type.bits + 7) // 8


def _totals(found: list[Stored]) -> dict[str, Any]:
    by_dtype: dict[str, dict[str, int]] = {}
    for each in found:
        kind = each.tensor.type.name
        row = by_dtype.setdefault(kind, {"tensors": 0, "elements": 0, "bytes": 0})
        row["tensors"] += 1
        row["elements"] += math.prod(each.tensor.shape)
        row["bytes"] += nbytes(each.tensor)
    keys = ("tensors", "elements", "bytes")
    return {k: sum(row[k] for row in by_dtype.values()) for k in keys} | {"by_dtype": by_dtype}


def _about(file: OnnxFile) -> dict[str, Any]:
    info = file.info
    return {
        "producer": info.producer,
        "ir_version": info.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in file.opsets.items()},
        "domain": info.domain,
        "model_version": info.version,
        "description": info.description,
        "graph": info.graph_name,
        "graph_description": info.graph_description,
    }


def _described(file: OnnxFile) -> dict[str, Any]:
    from tallow.onnx.signature import type_text

    def port(info: ValueInfo, **more: Any) -> dict[str, Any]:
        return {"name": info.name, "type": type_text(info.type), "shape": info.shape, **more}

    given = file.graph.initializers
    found = list(tensors(file.graph))
    return {
        "path": file.path,
        "format": "onnx",
        **_about(file),
        "metadata": file.metadata,
        "inputs": [port(each, optional=each.name in given) for each in file.graph.inputs],
        "outputs": [port(each) for each in file.graph.outputs],
        "functions": [f"{f.domain}.{f.name}" for f in file.functions],
        "operators": [
            {"domain": e.domain or "ai.onnx", "operator": e.op_type, "opset": e.opset,
             "count": sum(e.counts.values()), **e.counts, "known": e.known}
            for e in operators(file)
        ],
        "tensors": [
            {"name": e.name, "dtype": e.tensor.type.name, "shape": e.tensor.shape,
             "bytes": nbytes(e.tensor), "where": e.where, "constant": e.constant}
            for e in found
        ],
        "totals": _totals(found),
    }  # fmt: skip


# --- for people -----------------------------------------------------------------------------------


def _show(file: OnnxFile, full: bool) -> None:
    from tallow.cli.inspect import VALUE_WIDTH
    from tallow.cli.output import print_table, printable, shortened, table

    print(f"{printable(file.path)}: onnx\n")
    limit = 1_000_000_000 if full else VALUE_WIDTH
    about = _about(file)
    about["opsets"] = ", ".join(f"{name} {version}" for name, version in about["opsets"].items())
    for title, values in (("model", about), ("metadata", file.metadata)):
        made = table(title, "value")
        for key, value in values.items():
            if value not in ("", None, 0) or title == "metadata":
                made.add_row(shortened(key, 200), shortened(str(value), limit))
        if made.row_count:
            print_table(made)
            print()
    _show_ports(file)
    _show_operators(file)
    _show_weights(file)


def _show_ports(file: OnnxFile) -> None:
    from tallow.cli.output import print_table, shortened, table
    from tallow.onnx.signature import type_text

    made = table("", "name", "type", "shape")
    given = file.graph.initializers
    for info in file.graph.inputs:
        made.add_row("optional" if info.name in given else "input", *_port(info, type_text))
    for info in file.graph.outputs:
        made.add_row("output", *_port(info, type_text))
    for function in file.functions:
        made.add_row("function", shortened(f"{function.domain}.{function.name}", 200), "", "")
    print_table(made)
    print()


def _port(info: ValueInfo, type_text: Any) -> list[str]:
    from tallow.cli.output import shortened

    if info.shape is None:
        shape = "?"
    else:
        shape = " × ".join("?" if n is None else str(n) for n in info.shape) or "scalar"
    return [shortened(info.name, 200), type_text(info.type), shortened(shape, 200)]


def _show_operators(file: OnnxFile) -> None:
    from tallow.cli.output import print_table, shortened, table

    found = operators(file)
    places = [p for p in PLACES if p == "graph" or any(e.counts[p] for e in found)]
    missing = [each for each in found if not each.known]
    made = table("operator", "opset", *places, *(["tallow"] if missing else []),
                 right=("opset", *places))  # fmt: skip
    for each in found:
        cells = [f"{each.counts[place]:,}" if each.counts[place] else "" for place in places]
        said = [] if not missing else ["" if each.known else "not there"]
        made.add_row(shortened(each.name, 200), str(each.opset), *cells, *said)
    print_table(made)
    total = sum(sum(each.counts.values()) for each in found)
    print(f"\n{total:,} nodes of {len(found)} operators", end="")
    names = ", ".join(shortened(each.name, 200) for each in missing)
    print(f"; Tallow has not: {names}\n" if missing else ", all of which Tallow has\n")


def _show_weights(file: OnnxFile) -> None:
    from tallow.cli.inspect import _count_text
    from tallow.cli.output import print_table, shortened, table
    from tallow.hub.progress import size_text

    found = list(tensors(file.graph))
    small = [e for e in found if e.constant and math.prod(e.tensor.shape) < SMALL]
    made = table("tensor", "dtype", "shape", "bytes", right=("bytes",))
    for each in found:
        if not (each.constant and math.prod(each.tensor.shape) < SMALL):
            shape = " × ".join(map(str, each.tensor.shape)) or "scalar"
            name = shortened(each.where + each.name, 200)
            made.add_row(name, each.tensor.type.name, shape, f"{nbytes(each.tensor):,}")
    if made.row_count:
        print_table(made)
        print()
    totals = _totals(found)
    columns = ("tensors", "elements", "bytes")
    made = table("total", *columns, right=columns)
    for name, row in [*totals["by_dtype"].items(), ("all", totals)]:
        made.add_row(name, *(f"{row[key]:,}" for key in columns))
    print_table(made)
    if small:
        print(f"\n{len(small):,} constants of fewer than {SMALL} elements are not shown")
    parameters = f"{_count_text(totals['elements'])} parameters"
    print(f"\n{size_text(totals['bytes'])} in {totals['tensors']:,} tensors, {parameters}")
