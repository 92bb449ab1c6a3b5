"""Sequences, which are lists, and optionals, which are a value or None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow import ops
from tallow.errors import ArgumentError, DTypeError, ModelError, expect
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx.program import Body


@operator("SequenceConstruct", since=11, host=True)
def sequence_construct(*values: Any) -> list[Any]:
    """A sequence of the inputs."""
    _expect_one_dtype(values, "SequenceConstruct")
    return list(values)


@operator("SequenceEmpty", since=11, host=True)
def sequence_empty(*, dtype: int = 1) -> list[Any]:
    """A sequence of nothing; the dtype says what it could hold."""
    del dtype
    return []


@operator("SequenceAt", since=11, reads=("position",), host=True)
def sequence_at(sequence: list[Any], position: Any) -> Any:
    """One of a sequence."""
    return sequence[_place(position, sequence, "SequenceAt")]


@operator("SequenceErase", since=11, reads=("position",), host=True)
def sequence_erase(sequence: list[Any], position: Any = None) -> list[Any]:
    """A sequence without one, the last where no position is given."""
    at = _place(-1 if position is None else position, sequence, "SequenceErase")
    return sequence[:at] + sequence[at + 1 :]


@operator("SequenceInsert", since=11, reads=("position",), host=True)
def sequence_insert(sequence: list[Any], value: Any, position: Any = None) -> list[Any]:
    """A sequence with one more, at the end where no position is given."""
    _expect_one_dtype((*_expect_list(sequence, "SequenceInsert")[:1], value), "SequenceInsert")
    count = len(sequence)
    at = count if position is None else _place(position, sequence, "SequenceInsert", count + 1)
    return [*sequence[:at], value, *sequence[at:]]


@operator("SequenceLength", since=11, host=True)
def sequence_length(sequence: list[Any]) -> Tensor:
    """How many a sequence holds."""
    from tallow.factories import tensor

    return tensor(len(_expect_list(sequence, "SequenceLength")), dtype="i64")


@operator("SplitToSequence", since=11, reads=("split",), host=True)
def split_to_sequence(x: Any, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> list[Any]:
    """Parts of a tensor along an axis, of one length or of a length each."""
    expect(x.ndim > 0 and -x.ndim <= axis < x.ndim, "SplitToSequence", f"an axis of {x.ndim}", axis)
    length = x.shape[axis]
    if isinstance(split, list):
        fits = all(n >= 0 for n in split) and sum(split) == length
        expect(fits, "SplitToSequence", f"lengths that sum to {length}", split, ArgumentError)
        lengths = split
    else:
        size = 1 if split is None else split
        expect(size > 0, "SplitToSequence", "a positive length", size, ArgumentError)
        lengths = [min(size, length - at) for at in range(0, length, size)]
    parts = _parts(x, lengths, axis)
    if split is None and not keepdims:
        return [each.squeeze(axis) for each in parts]
    return parts


@operator("ConcatFromSequence", since=11, host=True)
def concat_from_sequence(sequence: list[Any], *, axis: int, new_axis: int = 0) -> Any:
    """All of a sequence as one tensor, along one of their axes or a new one."""
    _expect_list(sequence, "ConcatFromSequence")
    expect(len(sequence) > 0, "ConcatFromSequence", "a sequence with a tensor", "an empty one",
           ArgumentError)  # fmt: skip
    if new_axis:
        return stacked(sequence, axis)
    if isinstance(sequence[0], Tensor):
        return ops.cat(sequence, axis)
    import numpy as np

    return np.concatenate(sequence, axis)


@operator("SequenceMap", since=17, host=True)
def sequence_map(sequence: list[Any], *others: Any, body: Body, outputs: int) -> tuple[Any, ...]:
    """Sequences of what a sub-graph gives for each of a sequence, and its place in others."""
    count = len(_expect_list(sequence, "SequenceMap"))
    found = len(body.program.graph.outputs)
    expect(found == outputs, "SequenceMap", f"a body with {outputs} outputs", found, ModelError)
    lengths = [len(each) for each in others if isinstance(each, list)]
    expect({*lengths} <= {count}, "SequenceMap", f"sequences of {count}", lengths, ArgumentError)
    made: tuple[list[Any], ...] = tuple([] for _ in range(outputs))
    for i, value in enumerate(sequence):
        beside = [each[i] if isinstance(each, list) else each for each in others]
        for row, result in zip(made, body(value, *beside), strict=True):
            row.append(result)
    return made


# --- optionals ------------------------------------------------------------------------------------


@operator("Optional", since=15, host=True)
def optional(value: Any = None, *, type_: Any = None) -> Any:
    """An optional with a value, or without one."""
    del type_
    return value


@operator("OptionalHasElement", since=15, host=True)
def optional_has_element(value: Any = None) -> Tensor:
    """Whether there is a value."""
    from tallow.factories import tensor

    return tensor(value is not None, dtype="bool")


@operator("OptionalGetElement", since=15, host=True)
def optional_get_element(value: Any) -> Any:
    """The value of an optional that has one."""
    expect(value is not None, "OptionalGetElement", "an optional with a value", "none",
           ArgumentError)  # fmt: skip
    return value


# --- parts ----------------------------------------------------------------------------------------


def stacked(values: Sequence[Any], axis: int) -> Any:
    """Values of one shape along a new axis."""
    shapes = [tuple(each.shape) for each in values]
    odd = next((shape for shape in shapes if shape != shapes[0]), shapes[0])
    expect(odd == shapes[0], "stack", f"values of shape {shapes[0]}", odd)
    if isinstance(values[0], Tensor):
        return ops.stack(values, axis)
    import numpy as np

    return np.stack(values, axis)


def _parts(x: Any, lengths: Sequence[int], axis: int) -> list[Any]:
    if isinstance(x, Tensor):
        return [*ops.split(x, [*lengths], axis)] if lengths else []
    found, at = [], 0
    for length in lengths:
        found.append(x.take(range(at, at + length), axis))
        at += length
    return found


def _place(position: Any, sequence: Any, name: str, count: int | None = None) -> int:
    """A position in a sequence, counted from its beginning; `count` places are allowed."""
    length = len(_expect_list(sequence, name))
    count = length if count is None else count
    while isinstance(position, list) and len(position) == 1:
        position = position[0]
    ok = not isinstance(position, list) and -length <= position < count
    expect(ok, name, f"a position from {-length} to {count - 1}", position, ArgumentError)
    return int(position + length if position < 0 else position)


def _expect_list(value: Any, name: str) -> list[Any]:
    expect(isinstance(value, list), name, "a sequence", type(value).__name__, DTypeError)
    found: list[Any] = value
    return found


def _expect_one_dtype(values: Sequence[Any], name: str) -> None:
    dtypes = {str(getattr(each, "dtype", type(each).__name__)) for each in values}
    expect(len(dtypes) <= 1, name, "values of one dtype", sorted(dtypes), DTypeError)
