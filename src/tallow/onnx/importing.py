"""From what an ONNX file says to a graph whose nodes have rows; unknown operators are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tallow.dtype import f32, i64
from tallow.errors import FormatError, ModelError
from tallow.factories import tensor
from tallow.formats import onnx as stored
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find

_MOST_INLINED = 1 << 20  # nodes that functions may come to


def import_graph(file: stored.OnnxFile) -> Graph:
    """The graph of a file: functions inlined, constants as values, each node with its row.

    Raises:
        ModelError: operators without a row; the text has all of them, with counts and nodes.
        FormatError: a value is undefined, or defined twice.
    """
    importer = _Importer(file)
    graph = importer.graph(file.graph, file.opsets, set())
    importer.refuse_unknown()
    return graph


class _Importer:
    def __init__(self, file: stored.OnnxFile) -> None:
        self._path = file.path
        self._functions = {(f.domain, f.name, f.overload): f for f in file.functions}
        self._unknown: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._inlined = 0
        self._depth = 0

    def refuse_unknown(self) -> None:
        if not self._unknown:
            return
        parts = [
            f"{kind} ({count} ×, first {self._first[kind] or 'without a name'})"
            for kind, count in sorted(self._unknown.items())
        ]
        raise ModelError(
            f"{self._path}: expected operators that Tallow has, got " + ", ".join(parts)
            + "; tallow.onnx.operator registers one"
        )  # fmt: skip

    def graph(self, given: stored.Graph, opsets: Mapping[str, int], outer: set[str]) -> Graph:
        constants = {name: tensor.value() for name, tensor in given.initializers.items()}
        inputs = [each for each in given.inputs if each.name not in constants]
        known = outer | {*constants} | {each.name for each in inputs}
        made = Graph(given.name, [], inputs, given.outputs, constants)
        made.nodes = self.nodes(given.nodes, opsets, known, constants)
        for each in given.outputs:
            self._expect_known(each.name, known, f"output of graph {given.name!r}")
        return made

    def nodes(
        self, given: Iterable[stored.Node], opsets: Mapping[str, int], known: set[str],
        constants: dict[str, Any],
    ) -> list[Node]:  # fmt: skip
        made: list[Node] = []
        for node in given:
            for name in node.inputs:
                if name:
                    self._expect_known(name, known, f"node {node.name!r} ({node.op_type})")
            for name in node.outputs:
                if name in known and name:
                    raise FormatError(self._path, f"node {node.name!r}", "a new name", repr(name))
            function = self._functions.get((node.domain, node.op_type, node.overload))
            if function is not None:
                made += self._inline(node, function, known, constants)
            elif (found := self._node(node, opsets, known, constants)) is not None:
                made.append(found)
            known.update(node.outputs)
        return made

    def _expect_known(self, name: str, known: set[str], where: str) -> None:
        if name not in known:
            raise FormatError(self._path, where, "inputs that are defined before it", repr(name))

    def _node(
        self, node: stored.Node, opsets: Mapping[str, int], known: set[str],
        constants: dict[str, Any],
    ) -> Node | None:  # fmt: skip
        opset = opsets.get(node.domain, 1)
        if node.op_type == "Constant" and node.domain == "":
            constants[node.outputs[0]] = constant(node)
            return None
        row = find(node.domain, node.op_type, opset)
        if row is None:
            kind = f"{node.domain or 'ai.onnx'}.{node.op_type} of opset {opset}"
            self._unknown[kind] += 1
            self._first.setdefault(kind, node.name)
            return None
        attributes = {n: self._attribute(v, opsets, known) for n, v in node.attributes.items()}
        return Node(
            node.op_type, node.domain, node.name, list(node.inputs), list(node.outputs), attributes,
            row, opset,
        )  # fmt: skip

    def _attribute(self, value: Any, opsets: Mapping[str, int], known: set[str]) -> Any:
        if isinstance(value, stored.Graph):
            return self.graph(value, opsets, set(known))
        if isinstance(value, stored.StoredTensor):
            return value.value()
        if isinstance(value, list) and value and isinstance(value[0], stored.StoredTensor):
            return [each.value() for each in value]
        return value

    # --- functions --------------------------------------------------------------------------------

    def _inline(
        self, call: stored.Node, function: stored.Function, known: set[str],
        constants: dict[str, Any],
    ) -> list[Node]:  # fmt: skip
        """The nodes of a function, with names of their own, in the place of a call."""
        self._depth += 1
        self._inlined += len(function.nodes)
        if self._depth > 64 or self._inlined > _MOST_INLINED:
            raise FormatError(self._path, f"function {function.name!r}", "no endless calls", "one")
        prefix = f"{call.name or call.outputs[0]}/{self._inlined}/"
        names = dict(zip(function.inputs, call.inputs, strict=False))
        names |= dict.fromkeys(function.inputs[len(call.inputs) :], "")
        names |= dict(zip(function.outputs, call.outputs, strict=False))
        attributes = {**function.attributes, **call.attributes}
        renamed = [_renamed(node, names, prefix, attributes) for node in function.nodes]
        inside = {*filter(None, call.inputs)} | (known & {*names.values()})
        made = self.nodes(renamed, function.opsets, inside, constants)
        # An output that is one of the inputs.
        self._depth -= 1
        return made


def _renamed(
    node: stored.Node, names: dict[str, str], prefix: str, attributes: Mapping[str, Any]
) -> stored.Node:
    """A function's node as it stands in the graph that calls it."""
    inputs = [names.get(name, prefix + name) if name else "" for name in node.inputs]
    for name in node.outputs:
        if name and name not in names:
            names[name] = prefix + name
    outputs = [names[name] if name else "" for name in node.outputs]
    given: dict[str, Any] = {}
    for name, value in node.attributes.items():
        if isinstance(value, stored.Reference):
            value = attributes.get(value.name, ...)
            if value is ...:
                continue
        elif isinstance(value, stored.Graph):
            value = _renamed_graph(value, dict(names), prefix, attributes)
        given[name] = value
    return stored.Node(
        node.op_type, node.domain, prefix + node.name, inputs, outputs, given, node.overload
    )


def _renamed_graph(
    graph: stored.Graph, names: dict[str, str], prefix: str, attributes: Mapping[str, Any]
) -> stored.Graph:
    def info(each: stored.ValueInfo) -> stored.ValueInfo:
        return stored.ValueInfo(names.setdefault(each.name, prefix + each.name), each.type)

    inputs = [info(each) for each in graph.inputs]
    tensors = {names.setdefault(n, prefix + n): t for n, t in graph.initializers.items()}
    nodes = [_renamed(node, names, prefix, attributes) for node in graph.nodes]
    return stored.Graph(graph.name, nodes, inputs, [info(e) for e in graph.outputs], tensors)


def constant(node: stored.Node) -> Any:
    """The value of a Constant node."""
    given = node.attributes
    if "value" in given:
        return given["value"].value()
    for name, dtype in (("value_float", f32), ("value_int", i64)):
        if name in given:
            return tensor(given[name], dtype=dtype)
        if f"{name}s" in given:
            return tensor(given[f"{name}s"], dtype=dtype)
    if "value_string" in given or "value_strings" in given:
        import numpy as np

        found = given.get("value_strings", given.get("value_string"))
        return np.array(found, dtype=object)
    raise ModelError(f"node {node.name!r} (Constant): expected a value, got {[*given]}")
