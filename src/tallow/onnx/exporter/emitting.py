"""Builds an ONNX graph: nodes named by the modules' paths, constants, and sizes as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.dtype import DType, as_dtype, i64
from tallow.errors import ModelError
from tallow.factories import tensor
from tallow.formats.onnx import Graph, Node, ValueInfo, ValueType
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.types import OF_DTYPE
from tallow.formats.onnx.writing import stored
from tallow.onnx.exporter.constants import affine
from tallow.onnx.exporter.merging import Length, Size, Value
from tallow.programs.tables import Fit
from tallow.tensor import Tensor, tobytes

Name = str
MOST_DIVISOR = 128  # of a size: strides and patches


class Emitter:
    """The graph that rows write to.

    `opset` is that of ai.onnx; `dequantize` asks for floats in the place of quantised weights.
    """

    def __init__(
        self, opset: int, fit: Fit | None, points: Sequence[Mapping[str, int]], dequantize: bool
    ) -> None:
        self.opset, self.dequantize = opset, dequantize
        self._points = points
        self.nodes: list[Node] = []
        self.initializers: dict[Name, Tensor | StoredTensor] = {}
        self.scope = ""
        self._fit = fit
        self._names: dict[Value, Name] = {}
        self._taken: set[Name] = set()
        self._numbers: dict[Name, Tensor] = {}  # constants, which are no weights
        self._constants: dict[tuple[Any, ...], Name] = {}
        self._lengths: dict[tuple[int, ...], tuple[Name, int]] = {}  # where each stands
        self._sizes: dict[tuple[int, ...], Name] = {}
        # What rows write once for all who ask.
        self.transposed: dict[Name, Name] = {}
        self.products: dict[Name, tuple[Name, Any, Any]] = {}  # of linear: x, weight, bias
        self.dequantized: dict[tuple[Value, DType], Name] = {}
        self.masks: dict[tuple[Any, ...], Name] = {}
        self.renamed: dict[Name, Name] = {}  # results, by what outputs are called

    # --- names ------------------------------------------------------------------------------------

    def unique(self, name: Name) -> Name:
        """The name, numbered where it is taken."""
        found, count = name, 1
        while found in self._taken:
            found, count = f"{name}_{count}", count + 1
        self._taken.add(found)
        return found

    def bind(self, value: Value, name: Name) -> None:
        """Say where a value is."""
        self._names[value] = name
        for axis, length in enumerate(value.shape):
            if isinstance(length, Size):
                self._lengths.setdefault(length.seen, (name, axis))

    def name(self, x: Any, dtype: DType | None = None) -> Name:
        """The name of an operand: a value, a name, or numbers, which become a constant."""
        if isinstance(x, str):
            return x
        if not isinstance(x, Value):
            return self.constant(x, dtype or i64)
        if x not in self._names:
            self.bind(x, self._leaf(x))
        return self._names[x]

    def _leaf(self, value: Value) -> Name:
        """A weight or a constant when it is first used."""
        first = value.tensors[0]
        if value.kind == "weight":
            name = self.unique(value.name)
            self.initializers[name] = first
            return name
        if value.kind != "constant":
            raise AssertionError(f"{value.kind} {value.name} is used before it is made")
        if all(tobytes(x) == tobytes(first) for x in value.tensors) and not any(
            isinstance(length, Size) for length in value.shape
        ):
            return self.constant(first, value.dtype)
        return affine(self, value)

    # --- nodes ------------------------------------------------------------------------------------

    def node(
        self, op_type: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> Any:
        """Write a node, and give the names of its outputs (one alone, not in a list).

        Inputs are values, names, None (left out), or numbers: constants of i64. Attributes that are
        None are left out.
        """
        names = ["" if x is None else self.name(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        name = self.unique(f"{self.scope}/{op_type}" if self.scope else op_type)
        made = [name] if outputs == 1 else [self.unique(f"{name}:{i}") for i in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(Node(op_type, domain, name, names, made, given))
        return made[0] if outputs == 1 else made

    def constant(self, values: Any, dtype: DType | str = i64) -> Name:
        """The name of a constant of these numbers; equal ones are written once."""
        kind = as_dtype(dtype)
        x = values if isinstance(values, Tensor) else tensor(values, dtype=kind)
        x = x.detach().to(kind)
        key = (kind.name, tuple(x.shape), tobytes(x))
        if key not in self._constants:
            flat = x.reshape(-1).tolist() if x.numel() <= 4 and kind.kind in "iuf" else None
            shown = "_".join(f"{v:g}" for v in flat) if flat is not None else "table"
            name = self.unique(f"constant/{kind.name}_{shown}" + ("" if x.ndim else "_scalar"))
            self._numbers[name] = x
            self._constants[key] = name
        return self._constants[key]

    def cast(self, x: Any, to: DType, of: DType | None = None) -> Name:
        """`x`, whose dtype is `of`, in another dtype; itself where that is its own."""
        if (of or x.dtype) is to:
            return self.name(x)
        return str(self.node("Cast", x, to=code_of(to)))

    # --- sizes ------------------------------------------------------------------------------------

    def size(self, length: Length) -> Name:
        """A length as a vector of one i64."""
        if isinstance(length, int):
            return self.constant([length])
        if length.seen not in self._sizes:
            scope, self.scope = self.scope, "sizes"
            self._sizes[length.seen] = self._expression(length.seen)
            self.scope = scope
        return self._sizes[length.seen]

    def scalar_size(self, length: Length) -> Name:
        """A length as an i64 without axes."""
        if isinstance(length, int):
            return self.constant(length)
        return str(self.node("Squeeze", self.size(length), [0]))

    def sizes(self, lengths: Sequence[Length]) -> Name:
        """Lengths as a vector of i64."""
        if all(isinstance(each, int) for each in lengths):
            return self.constant(list(lengths))
        if len(lengths) == 1:
            return self.size(lengths[0])
        parts: list[Any] = []
        for each in lengths:
            if isinstance(each, int) and parts and isinstance(parts[-1], list):
                parts[-1].append(each)
            else:
                parts.append([each] if isinstance(each, int) else each)
        names = [p if isinstance(p, list) else self.size(p) for p in parts]
        return str(self.node("Concat", *names, axis=0))

    def is_known(self, length: Length) -> bool:
        """Whether a size stands in the shape of something."""
        return isinstance(length, int) or length.seen in self._lengths

    def _expression(self, seen: tuple[int, ...]) -> Name:
        """Nodes that compute a size: from a shape, a polynomial of sizes, or another size."""
        if seen in self._lengths:
            name, axis = self._lengths[seen]
            return str(self.node("Shape", name, start=axis, end=axis + 1))
        if (powers := self._powers(seen)) is not None:
            return self._polynomial(powers)
        if (found := self._derived(seen)) is not None:
            return found
        raise ModelError(
            "onnx.export: expected integers that follow from the sizes by sums, products and whole"
            f" quotients, got {seen} in {self.scope}"
        )

    def _powers(self, seen: tuple[int, ...]) -> dict[tuple[int, ...], int] | None:
        """A polynomial of the sizes that holds at every point, if there is one."""
        if self._fit is None:
            return None
        found = self._fit.polynomial(seen[: len(self._fit.points)])
        if not isinstance(found, dict):
            return None
        for point, value in zip(self._points, seen, strict=True):
            total = 0
            for exponents, factor in found.items():
                for name, exponent in zip(self._fit.names, exponents, strict=True):
                    factor *= point[name] ** exponent
                total += factor
            if total != value:
                return None
        return dict(found)

    def _polynomial(self, powers: Mapping[tuple[int, ...], int]) -> Name:
        assert self._fit is not None
        total = None
        for exponents, factor in powers.items():
            term = None
            for name, exponent in zip(self._fit.names, exponents, strict=True):
                size = Size(tuple(point[name] for point in self._points))
                for _ in range(exponent):
                    one = self.size(size)
                    term = one if term is None else self.node("Mul", term, one)
            if term is None:
                term = self.constant([factor])
            elif factor != 1:
                term = self.node("Mul", term, [factor])
            total = term if total is None else self.node("Add", total, term)
        return str(total)

    def _derived(self, seen: tuple[int, ...]) -> Name | None:
        """`(size + rest) // divisor` of one that stands in a shape, or the product of two."""
        for known in self._lengths:
            for divisor in range(1, MOST_DIVISOR + 1):
                if (rest := _rest(seen, known, divisor)) is None:
                    continue
                made = self.size(Size(known))
                made = self.node("Add", made, [rest]) if rest else made
                return str(self.node("Div", made, [divisor]) if divisor > 1 else made)
        for known in self._lengths:
            quotients = [
                s // k if k and s % k == 0 else -1 for s, k in zip(seen, known, strict=True)
            ]
            other = tuple(quotients)
            if -1 not in other and (len(set(other)) == 1 or other in self._lengths):
                factor: Any = [other[0]] if len(set(other)) == 1 else self.size(Size(other))
                return str(self.node("Mul", self.size(Size(known)), factor))
        return None

    # --- the whole --------------------------------------------------------------------------------

    def graph(self, name: str, inputs: Sequence[ValueInfo], outputs: Sequence[ValueInfo]) -> Graph:
        """The graph without what no output needs."""
        needed = {each.name for each in outputs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            node.inputs = [self.renamed.get(each, each) for each in node.inputs]
            node.outputs = [self.renamed.get(each, each) for each in node.outputs]
            if needed.isdisjoint(node.outputs):
                continue
            needed.update(node.inputs)
            kept.append(node)
        weights = {
            n: stored(n, x) if isinstance(x, Tensor) else x
            for n, x in self.initializers.items()
            if n in needed
        }
        constants = [
            Node("Constant", "", n, [], [n], {"value": stored("", x)})
            for n, x in self._numbers.items()
            if n in needed
        ]
        return Graph(name, constants + kept[::-1], list(inputs), list(outputs), weights)


def _rest(seen: tuple[int, ...], known: tuple[int, ...], divisor: int) -> int | None:
    """The rest with which `(known + rest) // divisor` is what was seen at every point.

    Where several are, that of rounding down or up, or none.
    """
    apart = [s * divisor - k for s, k in zip(seen, known, strict=True)]
    least, most = max(apart), min(apart) + divisor - 1
    if least > most:
        return None
    if least == most:
        return least
    return next((rest for rest in (0, divisor - 1) if least <= rest <= most), None)


def code_of(dtype: DType) -> int:
    """ONNX's number of a dtype."""
    code = OF_DTYPE.get(dtype.name)
    if code is None:
        raise ModelError(f"onnx.export: expected dtypes that ONNX has, got {dtype.name}")
    return code


def tensor_type(value: Value, names: Mapping[tuple[int, ...], str]) -> ValueType:
    """The type of a value, its sizes by their names, None where a size has none."""
    shape = tuple(
        length if isinstance(length, int) else names.get(length.seen) for length in value.shape
    )
    return ValueType("tensor", code_of(value.dtype), shape)
