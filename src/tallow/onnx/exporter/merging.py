"""Several traces of one module at different sizes as one program, whose integers know the sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import DType
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.exporter.tracing import Call, Ref, Trace, Traced
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Size:
    """An integer that follows from the sizes: what it was in each trace."""

    seen: tuple[int, ...]


Length = int | Size


@dataclass(eq=False)
class Value:
    """A tensor of the program: an input, a weight, a constant, or what a step gives."""

    kind: str
    name: str
    shape: tuple[Length, ...]
    dtype: DType
    tensors: tuple[Tensor, ...]  # what it was in each trace

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


@dataclass
class Step:
    """A call of an op in the program."""

    op: str
    arguments: dict[str, Any]
    results: list[Value]
    scope: str


@dataclass
class Program:
    """The steps in order; inputs and results by name."""

    steps: list[Step]
    inputs: dict[str, Value]
    outputs: dict[str, Value]


def merge(traces: Sequence[Trace]) -> Program:
    """One program of traces that differ in integers only.

    Raises:
        ModelError: other calls, numbers or dtypes are made at another size.
    """
    first = traces[0]
    for other in traces[1:]:
        for mine, theirs in zip(first.calls, other.calls, strict=False):
            if (mine.op, mine.results, mine.scope) != (theirs.op, theirs.results, theirs.scope):
                _differ(mine, theirs)
        if len(first.calls) != len(other.calls):
            _differ(*(t.calls[-1] for t in (first, other)))
        if list(first.outputs.items()) != list(other.outputs.items()):
            raise ModelError(
                "onnx.export: expected the same outputs at every size, got "
                f"{[*first.outputs]} and {[*other.outputs]}"
            )
    values = [_value(each) for each in zip(*(t.tensors for t in traces), strict=True)]
    steps = []
    for calls in zip(*(t.calls for t in traces), strict=True):
        call = calls[0]
        where = f"{call.op} in {call.scope or 'the module'}"
        arguments = {
            name: _merged(tuple(c.arguments[name] for c in calls), values, where)
            for name in call.arguments
        }
        steps.append(Step(call.op, arguments, [values[i] for i in call.results], call.scope))
    inputs = {name: values[i] for name, i in first.inputs.items()}
    return Program(steps, inputs, {name: values[i] for name, i in first.outputs.items()})


def _differ(mine: Call, theirs: Call) -> None:
    raise ModelError(
        "onnx.export: expected the same calls at every size, got "
        f"{mine.op} in {mine.scope or 'the module'} and {theirs.op} in "
        f"{theirs.scope or 'the module'}"
    )


def integer(seen: tuple[int, ...]) -> Length:
    """An integer, or a size where it varies."""
    return seen[0] if len(set(seen)) == 1 else Size(seen)


def _value(each: tuple[Traced, ...]) -> Value:
    first = each[0]
    if len({(t.kind, t.name, t.dtype, len(t.shape)) for t in each}) > 1:
        raise ModelError(
            "onnx.export: expected the same dtypes and axes at every size, got "
            f"{[(t.dtype.name, t.shape) for t in each]}"
        )
    shape = tuple(integer(seen) for seen in zip(*(t.shape for t in each), strict=True))
    return Value(first.kind, first.name, shape, first.dtype, tuple(t.tensor for t in each))


def _merged(seen: tuple[Any, ...], values: list[Value], where: str) -> Any:
    first = seen[0]
    kinds = {type(each) for each in seen}
    if len(kinds) == 1:
        if isinstance(first, Ref):
            if len(set(seen)) == 1:
                return values[first.number]
        elif isinstance(first, tuple):
            if len({len(each) for each in seen}) == 1:
                parts = zip(*seen, strict=True)
                return tuple(_merged(part, values, where) for part in parts)
        elif isinstance(first, slice):
            return slice(
                *(
                    _merged(tuple(getattr(each, part) for each in seen), values, where)
                    for part in ("start", "stop", "step")
                )
            )
        elif isinstance(first, int) and not isinstance(first, bool):
            return integer(seen)
        elif all(each is first or each == first for each in seen):
            return first
    raise ModelError(
        f"onnx.export: expected arguments that differ between sizes as integers do, got {seen[:3]}"
        f" for {where}"
    )
