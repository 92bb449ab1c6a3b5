"""From what an ONNX file says to a graph whose nodes have rows; what is unknown is told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from tallow.dtype import f32, i64
from tallow.errors import FormatError, ModelError, TallowError
from tallow.factories import tensor
from tallow.formats import onnx as stored
from tallow.formats.mapping import shown
from tallow.formats.onnx.collector import collector_at_rest
from tallow.onnx.expansion import Expansion, key_of
from tallow.onnx.faults import Faults
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import Row, find
from tallow.onnx.ordering import Uses, ordered
from tallow.onnx.scopes import Closure, Names, Scope
from tallow.onnx.unread import unread

LAST_OPSET: Final = 28  # of ai.onnx: a later one may mean other things
_OVERRIDABLE: Final = 4  # the IR from which an initialiser among the inputs is a default only


def import_graph(file: stored.OnnxFile) -> Graph:
    """The graph of a file: functions inlined, constants as values, each node with its row.

    Names are those of the file at the graph's own level, and each value of a sub-graph has one that
    is its own in the whole model. Constants of sub-graphs and functions are the graph's, too.

    Raises:
        ModelError: operators without a row, or attributes and inputs that a row does not take; the
            text has all of them, with counts and nodes.
        FormatError: a value is undefined or defined twice, nodes need one another, functions call
            themselves.
    """
    with collector_at_rest():
        return _Importer(file).model(file)


class _Importer:
    def __init__(self, file: stored.OnnxFile) -> None:
        self._path = file.path
        self._functions: dict[tuple[str, str, str], stored.Function] = {}
        for each in file.functions:
            key = (each.domain, each.name, each.overload)
            if key in self._functions:
                raise FormatError(
                    self._path, "functions", "names of their own", shown(":".join(key))
                )
            self._functions[key] = each
        self._opsets = file.opsets
        self._faults = Faults(self._path)
        self._names, self._uses = Names(), Uses()
        self._constants: dict[str, Any] = {}
        self._values: dict[int, Any] = {}  # of functions' tensors, which several calls share
        self._rows: dict[tuple[str, str, int], Row | None] = {}

    def model(self, file: stored.OnnxFile) -> Graph:
        """The graph of the model."""
        if self._functions:  # sub-graphs alone are no deeper than protobuf lets them be
            Expansion(self._path, self._functions).check(file.graph)
        scope = Scope(None, "", file.opsets, None)
        made = self._graph(file.graph, scope)
        self._faults.refuse()
        made.constants = self._constants
        if file.ir_version >= _OVERRIDABLE:
            given = file.graph.initializers
            made.optional = tuple(each for each in file.graph.inputs if each.name in given)
        return made

    def _graph(self, given: stored.Graph, scope: Scope) -> Graph:
        where = f"graph {shown(given.name)}"
        inputs = [each for each in given.inputs if each.name not in given.initializers]
        makers: dict[str, int] = {}
        for each in inputs:
            self._define(each.name, -1, makers, scope, f"{where} inputs")
        for name, value in given.initializers.items():
            self._define(name, -1, makers, scope, f"{where} initializers")
            later = unread(value)
            self._constants[scope.names[name]] = (
                self._value(value, f"initializer {shown(name)}") if later is None else later
            )
        made = Graph(given.name, [], [_called(each, scope) for each in inputs], [])
        self._body(given.nodes, makers, scope, made.nodes)
        for each in given.outputs:
            if not each.name or not scope.find(each.name):
                raise self._undefined(each.name, f"{where} outputs")
            made.outputs.append(_called(each, scope))
        return made

    def _define(
        self, name: str, maker: int, makers: dict[str, int], scope: Scope,
        by: str | stored.Node,
    ) -> None:  # fmt: skip
        """Give a value its name in the model; a function's outputs have theirs already."""
        if name in makers or not name:
            where = by if isinstance(by, str) else _where(by)
            raise FormatError(self._path, where, "a new name for each value", shown(name))
        makers[name] = maker
        if name not in scope.names:
            in_function = scope.attributes is not None
            scope.names[name] = self._names.take(name, scope.prefix, always=in_function)

    def _undefined(self, name: str, where: str) -> FormatError:
        return FormatError(self._path, where, "values that are defined", shown(name))

    # --- nodes ------------------------------------------------------------------------------------

    def _body(
        self, given: Sequence[stored.Node], makers: dict[str, int], scope: Scope, made: list[Node]
    ) -> None:
        """Add the nodes of a graph or a function, those that need others after these."""
        for at, node in enumerate(given):
            for name in node.outputs:
                if name:
                    self._define(name, at, makers, scope, node)
        nodes, cycle = ordered(given, makers, self._uses)
        if cycle:
            names = [shown(each.name or each.op_type) for each in cycle]
            more = [f"… ({len(names)} nodes)"] if len(names) > 8 else []
            path = " → ".join([*names[:8], *more, names[0]])
            raise FormatError(self._path, "graph", "nodes without a cycle", path)
        for node in nodes:
            self._node(node, scope, made)

    def _node(self, node: stored.Node, scope: Scope, made: list[Node]) -> None:
        inputs = [scope.find(name) if name else "" for name in node.inputs]
        if None in inputs:
            raise self._undefined(node.inputs[inputs.index(None)], _where(node))
        outputs = [scope.names[name] if name else "" for name in node.outputs]
        attributes = self._given(node, scope) if node.attributes else {}
        call = _Call(node, [name or "" for name in inputs], outputs, attributes)
        if self._functions and (function := self._functions.get(key_of(node))) is not None:
            self._inline(call, function, scope, made)
            return
        domain = node.domain
        opset = self._opset(node, scope)
        if node.op_type == "Constant" and not domain:
            if len(outputs) != 1 or not outputs[0]:
                raise FormatError(self._path, _where(node), "one output", len(outputs))
            self._constants[outputs[0]] = self._constant(call, shared=scope.attributes is not None)
            return
        key = (domain, node.op_type, opset)
        if key not in self._rows:
            # Rows of our own are for passes, which know what they give them.
            self._rows[key] = None if domain == "tallow" else find(*key)
        row = self._rows[key]
        if row is None:
            self._faults.unknown(domain, node.op_type, opset, node.name)
            return
        self._faults.check(row, attributes, len(inputs), node.name)
        values = {n: self._attribute(v, n, call) for n, v in attributes.items()}
        # A pass goes by names: one that means something else now has another.
        kind = f"{node.op_type} (replaced)" if row.replaced else node.op_type
        made.append(Node(kind, domain, node.name, call.inputs, outputs, values, row, opset))

    def _opset(self, node: stored.Node, scope: Scope) -> int:
        """The version of a node's domain; one that nobody imports is the first."""
        if node.domain:
            return scope.opsets.get(node.domain, 1)
        opset = scope.opsets.get("", 0)
        if not 1 <= opset <= LAST_OPSET:
            wanted = f"ai.onnx of 1 to {LAST_OPSET}"
            got = f"{opset or 'none'} for {_where(node)}"
            raise FormatError(self._path, "opset_import", wanted, got)
        return opset

    # --- attributes and constants -----------------------------------------------------------------

    def _given(self, node: stored.Node, scope: Scope) -> dict[str, Any]:
        """The attributes of a node, those of a call where a function refers to them."""
        found: dict[str, Any] = {}
        for name, value in node.attributes.items():
            if isinstance(value, stored.Reference):
                if scope.attributes is None:
                    raise FormatError(
                        self._path, _where(node), "references to attributes in functions only",
                        shown(value.name),
                    )  # fmt: skip
                value = scope.attributes.get(value.name, ...)
                if value is ...:
                    continue
            elif isinstance(value, stored.Graph):
                value = Closure(value, scope)
            elif isinstance(value, list) and value and isinstance(value[0], stored.Graph):
                value = [Closure(each, scope) for each in value]
            found[name] = value
        return found

    def _attribute(self, value: Any, name: str, call: _Call) -> Any:
        if isinstance(value, int | float | str):
            return value
        if isinstance(value, list):
            plain = not value or isinstance(value[0], int | float | str)
            return value if plain else [self._attribute(each, name, call) for each in value]
        if isinstance(value, Closure):
            return self._graph(value.graph, value.scope.inside(call.called))
        if isinstance(value, stored.StoredTensor):
            return self._value(value, f"{_where(call.node)} attribute {shown(name)}")
        return value

    def _value(self, given: stored.StoredTensor, where: str) -> Any:
        try:
            return given.value()
        except (TallowError, ValueError) as error:  # ValueError is numpy's
            wanted = "a tensor that Tallow can hold"
            raise FormatError(self._path, where, wanted, f"shape {shown(given.shape)}") from error

    def _constant(self, call: _Call, *, shared: bool) -> Any:
        """The value of a Constant node."""
        found = [n for n in call.attributes if n in _CONSTANTS]
        if len(found) != 1 or len(call.attributes) != 1:
            got = [*call.attributes]
            raise ModelError(f"{self._path}: {_where(call.node)}: expected a value, got {got}")
        value = call.attributes[found[0]]
        if not isinstance(value, stored.StoredTensor):
            return _CONSTANTS[found[0]](value)
        if not shared:
            return self._value(value, _where(call.node))
        if id(value) not in self._values:
            self._values[id(value)] = self._value(value, _where(call.node))
        return self._values[id(value)]

    # --- functions --------------------------------------------------------------------------------

    def _inline(
        self, call: _Call, function: stored.Function, around: Scope, made: list[Node]
    ) -> None:
        """Add the nodes of a function, with names of their own, in the place of a call."""
        where = _where(call.node)
        for what, got, has in (
            ("inputs", call.inputs, function.inputs),
            ("outputs", call.outputs, function.outputs),
        ):
            if len(got) > len(has):
                raise FormatError(self._path, where, f"at most {len(has)} {what}", len(got))
        for name in call.attributes:
            if name not in function.attributes:
                self._faults.misused(
                    f"the attribute {shown(name)} of {shown(function.name)}", call.node.name
                )
        scope = Scope(
            None, f"{around.prefix}{call.called}/", {**self._opsets, **function.opsets},
            {**function.attributes, **call.attributes},
        )  # fmt: skip
        makers: dict[str, int] = {}
        for name, given in zip_longest(function.inputs, call.inputs, fillvalue=""):
            if name in makers:
                raise FormatError(self._path, where, "a new name for each value", shown(name))
            makers[name], scope.names[name] = -1, given
        again = []  # outputs that are inputs, or outputs already
        for name, given in zip_longest(function.outputs, call.outputs, fillvalue=""):
            if name not in scope.names and given:
                scope.names[name] = given
            elif given:
                again.append((name, given))
        self._body(function.nodes, makers, scope, made)
        for name in function.outputs:
            if name not in makers:
                raise self._undefined(name, f"function {shown(function.name)} outputs")
        for name, given in again:
            made.append(_identity(scope.names[name], given, call.node.name))


class _Call:
    """A node, with its inputs and outputs by their names in the model."""

    __slots__ = ("attributes", "inputs", "node", "outputs")

    def __init__(
        self, node: stored.Node, inputs: list[str], outputs: list[str], attributes: dict[str, Any]
    ) -> None:
        self.node, self.inputs, self.outputs = node, inputs, outputs
        self.attributes = attributes

    @property
    def called(self) -> str:
        """The node's name, or what tells it from others."""
        return self.node.name or next(filter(None, self.outputs), self.node.op_type)


def _called(info: stored.ValueInfo, scope: Scope) -> stored.ValueInfo:
    """A value under its name in the model."""
    name = scope.find(info.name) or ""
    return info if name == info.name else stored.ValueInfo(name, info.type)


def _where(node: stored.Node) -> str:
    return f"node {shown(node.name)} ({shown(node.op_type)[1:-1]})"


def _identity(value: str, name: str, node: str) -> Node:
    row = find("", "Identity", LAST_OPSET)
    assert row is not None
    return Node("Identity", "", node, [value], [name], {}, row, LAST_OPSET)


def _texts(value: Any) -> Any:
    import numpy as np

    return np.array(value, dtype=object)


# The value of a Constant by its attribute; a tensor is a value as it is.
_CONSTANTS: Final[Mapping[str, Any]] = {
    "value": None, "sparse_value": None,
    "value_float": lambda value: tensor(value, dtype=f32),
    "value_floats": lambda value: tensor(value, dtype=f32),
    "value_int": lambda value: tensor(value, dtype=i64),
    "value_ints": lambda value: tensor(value, dtype=i64),
    "value_string": _texts, "value_strings": _texts,
}  # fmt: skip
