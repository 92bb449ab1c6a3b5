"""`export`: from a module and examples of its inputs to an ONNX file."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallow._version import __version__
from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.formats.onnx import ValueInfo
from tallow.formats.onnx.writing import OnnxModel, write_onnx
from tallow.nn.module import Module
from tallow.onnx.exporter.emitting import Emitter, tensor_type
from tallow.onnx.exporter.merging import Program, Size, Step, Value, merge
from tallow.onnx.exporter.table import knows, rows
from tallow.onnx.exporter.tracing import Trace, trace
from tallow.programs.tables import Fit
from tallow.tensor import Tensor, tobytes

if TYPE_CHECKING:
    from tallow.formats.writing import Target

OPSETS = range(17, 22)
# Sizes at which a module is traced: two for a polynomial, all others at which it must hold. Their
# remainders by 2, 3 and 4 are all that there are, so that quotients are told apart.
_BATCH, _LENGTH = (2, 3, 5, 4), (5, 7, 11, 6, 12)

Dynamic = Mapping[str, Mapping[int, str]]


def export(
    module: Module,
    examples: Any,
    path: Target,
    *,
    opset: int = 17,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Dynamic | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    dequantize: bool = False,
    external_data: bool | str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """As `tallow.onnx.export`."""
    expect(opset in OPSETS, "onnx.export", "an opset of 17 to 21", opset, ArgumentError)
    expect(
        isinstance(module, Module), "onnx.export", "a Module", type(module).__name__, ArgumentError
    )
    inputs, fixed = _named(module, examples, input_names)
    axes = _axes(inputs, dynamic or {})
    points, fit = _points(inputs, axes, sizes or {})
    was_training = module.training
    module.eval()
    try:
        traces = [_traced(module, inputs, fixed, axes, point, i) for i, point in enumerate(points)]
    finally:
        module.train(was_training)
    program = merge(traces)
    emitter = Emitter(opset, fit, points, dequantize)
    graph = _Writing(program, emitter, axes, points).graph(module, output_names)
    model = OnnxModel(
        graph, {"": opset}, producer=f"tallow {__version__}", metadata=_metadata(module)
    )
    return write_onnx(path, model, external_data=external_data, progress=progress)


# --- arguments ------------------------------------------------------------------------------------


class _Input:
    """An input of the graph: its name there, the parameter or place, and the example."""

    def __init__(self, name: str, place: str | int, example: Tensor) -> None:
        self.name, self.place, self.example = name, place, example


def _named(
    module: Module, examples: Any, names: Sequence[str] | None
) -> tuple[list[_Input], dict[str | int, Any]]:
    """The inputs, and the arguments that are no tensors by place or name."""
    given: dict[Any, Any]
    if isinstance(examples, Tensor):
        examples = (examples,)
    if isinstance(examples, Mapping):
        given = dict(examples)
    elif isinstance(examples, Sequence) and not isinstance(examples, str):
        given = dict(enumerate(examples))
    else:
        wanted, got = "examples as a tensor, a sequence or a mapping", type(examples).__name__
        raise ArgumentError(f"onnx.export: expected {wanted}, got {got}")
    tensors = {place: x for place, x in given.items() if isinstance(x, Tensor)}
    fixed = {place: x for place, x in given.items() if not isinstance(x, Tensor)}
    expect(
        bool(tensors),
        "onnx.export",
        "at least one tensor among the examples",
        "none",
        ArgumentError,
    )
    if names is None:
        parameters = list(inspect.signature(module.forward).parameters)
        names = [
            place if isinstance(place, str)
            else parameters[place] if place < len(parameters) else f"input_{place}"
            for place in tensors
        ]  # fmt: skip
    fits = len(names) == len(tensors) == len(set(names))
    expect(fits, "onnx.export", f"{len(tensors)} different input names", list(names), ArgumentError)
    found = [_Input(n, p, x) for n, (p, x) in zip(names, tensors.items(), strict=True)]
    return found, fixed


def _axes(inputs: list[_Input], dynamic: Dynamic) -> dict[str, dict[int, str]]:
    """The dynamic axes of each input, counted from the front."""
    known = {each.name: each.example for each in inputs}
    found: dict[str, dict[int, str]] = {name: {} for name in known}
    lengths: dict[str, int] = {}
    for name, axes in dynamic.items():
        expect(
            name in known, "onnx.export", f"dynamic axes of {[*known]}", repr(name), ArgumentError
        )
        shape = known[name].shape
        for axis, size in axes.items():
            fits = -len(shape) <= axis < len(shape)
            expect(fits, "onnx.export", f"an axis of {name} {tuple(shape)}", axis, ArgumentError)
            place = axis % len(shape)
            length = lengths.setdefault(size, shape[place])
            wanted = f"{size!r} to be {length} in every example"
            expect(shape[place] == length, "onnx.export", wanted, shape[place], ArgumentError)
            found[name][place] = size
    return found


def _points(
    inputs: list[_Input], axes: dict[str, dict[int, str]], sizes: Mapping[str, Sequence[int]]
) -> tuple[list[dict[str, int]], Fit | None]:
    """The sizes at which the module is traced."""
    chosen: dict[str, tuple[int, ...]] = {}
    for each in inputs:
        for axis, name in axes[each.name].items():
            n = each.example.shape[axis]
            is_image = each.example.ndim >= 4 and axis >= 2
            usual = (n, 2 * n, 3 * n) if is_image else _BATCH if axis == 0 else _LENGTH
            chosen.setdefault(name, tuple(sizes.get(name, usual)))
    unknown = [name for name in sizes if name not in chosen]
    expect(not unknown, "onnx.export", f"sizes of {[*chosen]}", unknown, ArgumentError)
    for name, found in chosen.items():
        good = len(set(found)) == len(found) >= 3 and min(found) > 0
        wanted = f"three different sizes or more for {name!r}"
        expect(good, "onnx.export", wanted, found, ArgumentError)
    if not chosen:
        return [{}], None
    fit = Fit({n: s[:2] for n, s in chosen.items()}, {n: s[2] for n, s in chosen.items()})
    more = max(map(len, chosen.values())) - 3
    beside = [{n: s[min(3 + i, len(s) - 1)] for n, s in chosen.items()} for i in range(more)]
    return [*fit.points, *beside], fit


def _at(x: Tensor, axes: dict[int, str], point: dict[str, int], turn: int) -> Tensor:
    """The example with its axes at other lengths: repeated or cut, and turned."""
    for axis, name in axes.items():
        x = x.index_select(axis, arange(point[name], dtype=i64) % x.shape[axis])
    if turn and x.ndim and x.numel():
        x = x.roll(turn, min(1, x.ndim - 1))
    return x.clone().contiguous()


def _traced(
    module: Module, inputs: list[_Input], fixed: dict[Any, Any], axes: dict[str, dict[int, str]],
    point: dict[str, int], turn: int,
) -> Trace:  # fmt: skip
    with inference_mode():
        made = {each.name: _at(each.example, axes[each.name], point, turn) for each in inputs}
    arguments = fixed | {each.place: made[each.name] for each in inputs}
    plain = [
        value for _, value in sorted((p, v) for p, v in arguments.items() if isinstance(p, int))
    ]
    named = {place: value for place, value in arguments.items() if isinstance(place, str)}
    return trace(module, made, lambda: module(*plain, **named), knows)


def _metadata(module: Module) -> dict[str, str]:
    values = getattr(module, "config_values", None) or {}  # of config.json
    family = values.get("model_type")
    found = {"module": type(module).__name__}
    return found | ({"model_type": str(family)} if family else {})


# --- the graph ------------------------------------------------------------------------------------


class _Writing:
    """Writes the steps of a program by their rows."""

    def __init__(
        self, program: Program, emitter: Emitter, axes: dict[str, dict[int, str]],
        points: list[dict[str, int]],
    ) -> None:  # fmt: skip
        self._program, self._g = program, emitter
        self._axes = axes
        names = dict.fromkeys(itertools.chain.from_iterable(a.values() for a in axes.values()))
        self._lengths = {tuple(p[name] for p in points): name for name in names}

    def graph(self, module: Module, output_names: Sequence[str] | None) -> Any:
        """The graph with inputs and outputs by their names."""
        g, program = self._g, self._program
        for name, value in program.inputs.items():
            g.bind(value, g.unique(name))
        names = list(program.outputs) if output_names is None else list(output_names)
        fits = len(names) == len(program.outputs) == len(set(names) - {*program.inputs})
        wanted = f"{len(program.outputs)} output names, for {[*program.outputs]}"
        expect(fits, "onnx.export", wanted, names, ArgumentError)
        for name in names:
            g.unique(name)
        for step in program.steps:
            self._write(step)
        g.scope = ""
        outputs = [
            self._output(name, value)
            for name, value in zip(names, program.outputs.values(), strict=True)
        ]
        inputs = [ValueInfo(n, tensor_type(v, self._lengths)) for n, v in program.inputs.items()]
        return g.graph(type(module).__name__, inputs, outputs)

    def _write(self, step: Step) -> None:
        if self._is_constant(step):
            for each in step.results:
                each.kind = "constant"
            return
        g = self._g
        g.scope = step.scope
        several = len(step.results) > 1
        row = rows()[step.op]
        made = row.write(g, step.results if several else step.results[0], **step.arguments)
        if several or isinstance(made, list):
            for value, name in zip(step.results, made, strict=True):
                g.bind(value, name)
        else:
            g.bind(step.results[0], made)

    @staticmethod
    def _is_constant(step: Step) -> bool:
        """Whether results follow from constants alone, and are the same at every size."""
        operands: list[Value] = []
        _collect(step.arguments.values(), operands)
        if any(each.kind != "constant" for each in operands) or (step.op == "fill" and operands):
            return False
        return all(
            not any(isinstance(length, Size) for length in each.shape)
            and all(tobytes(x) == tobytes(each.tensors[0]) for x in each.tensors)
            for each in step.results
        )

    def _output(self, name: str, value: Value) -> ValueInfo:
        """Give a result its name: that of the node's output, or a copy of what has another use."""
        g = self._g
        own = g.name(value)
        inner = {output for node in g.nodes for output in node.outputs}
        if own in inner and own not in g.renamed:
            g.renamed[own] = name
        else:
            node = g.node("Identity", own)
            g.renamed[node] = name
        return ValueInfo(name, tensor_type(value, self._lengths))


def _collect(values: Any, found: list[Value]) -> None:
    for each in values:
        if isinstance(each, Value):
            found.append(each)
        elif isinstance(each, tuple | list):
            _collect(each, found)
        elif isinstance(each, slice):
            _collect((each.start, each.stop, each.step), found)


__all__ = ["export"]
