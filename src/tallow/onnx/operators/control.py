"""If, Loop and Scan: rows that call their sub-graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow import _native
from tallow.errors import ArgumentError, CaptureError, ModelError, OutOfMemoryError, expect
from tallow.formats.onnx.types import TYPES
from tallow.onnx.operators.sequences import stacked
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.formats.onnx import ValueInfo
    from tallow.onnx.program import Body

# A Loop without a trip count (or with one that is a way to write "none") ends after this many
# iterations in an error; scan outputs end in one beyond this many bytes.
MOST_ITERATIONS: Final = 1 << 20
MOST_SCAN_BYTES: Final = 1 << 33
_NO_COUNT: Final = (1 << 31) - 1
_MOST_UNROLLED: Final = 1 << 11  # steps of a sub-graph that one plan repeats


@operator("If", reads=("cond",), host=True)
def if_(cond: Any, *, then_branch: Body, else_branch: Body, outputs: int) -> tuple[Any, ...]:
    """The outputs of one of two sub-graphs."""
    branch = then_branch if _single(cond, "If", "condition") else else_branch
    _expect_results(branch, outputs, "If")
    return branch()


@operator("Loop", reads=("trip_count", "cond"), host=True)
def loop(
    trip_count: Any = None, cond: Any = None, *carried: Any, body: Body, outputs: int
) -> tuple[Any, ...]:
    """A sub-graph again and again: the values that it carries, and what it gave each time.

    Without `cond`, the condition that the sub-graph gives is ignored, as the standard says.
    """
    count = None if trip_count is None else int(_single(trip_count, "Loop", "trip count"))
    goes_on = cond is None or bool(_single(cond, "Loop", "condition"))
    states = list(carried)
    rows = _rows(body, 2 + len(states), 1 + len(states), 1 + outputs, "Loop")
    if _native.capturing() and count is not None:
        _expect_few(count, body)
    flag, step = _scalar(goes_on, "bool"), 0
    while goes_on and (count is None or step < count):
        found = body(_scalar(step, "i64"), flag, *states)
        flag, states = found[0], [*found[1 : 1 + len(states)]]
        _gather(rows, found[1 + len(states) :])
        if cond is not None:
            goes_on = bool(_single(flag.tolist(), "Loop", "condition"))
        step += 1
        if step >= MOST_ITERATIONS:
            _expect_an_end(goes_on, count)
        if count is None and _native.capturing():
            _expect_few(step, body)
    return (*states, *_joined(rows, body, [0] * len(rows), [False] * len(rows)))


@operator("Scan", since=9, host=True)
def scan(
    *values: Any,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] = (),
    scan_input_directions: Sequence[int] = (),
    scan_output_axes: Sequence[int] = (),
    scan_output_directions: Sequence[int] = (),
    outputs: int,
) -> tuple[Any, ...]:
    """A sub-graph for each slice of the scanned inputs."""
    count = _scanned_count(values, num_scan_inputs)
    states, scanned = values[: len(values) - count], values[len(values) - count :]
    axes = _each(scan_input_axes, count, "scan_input_axes")
    back = _each(scan_input_directions, count, "scan_input_directions")
    parts = [_slices(x, a, bool(b)) for x, a, b in zip(scanned, axes, back, strict=True)]
    rows = _rows(body, len(values), len(states), outputs, "Scan")
    places = _each(scan_output_axes, len(rows), "scan_output_axes")
    ahead = _each(scan_output_directions, len(rows), "scan_output_directions")
    last = _run(body, [*states], parts, rows)
    return (*last, *_joined(rows, body, places, [bool(each) for each in ahead]))


@operator("Scan", since=8, until=8, reads=("sequence_lens",), host=True)
def scan_batch(
    sequence_lens: Any = None,
    *values: Any,
    body: Body,
    num_scan_inputs: int,
    directions: Sequence[int] = (),
    outputs: int,
) -> tuple[Any, ...]:
    """A sub-graph for each slice of axis 1, for each sequence of a batch; zeros behind its end."""
    count = _scanned_count(values, num_scan_inputs)
    states, scanned = values[: len(values) - count], values[len(values) - count :]
    back = _each(directions, count, "directions")
    batch, longest = scanned[0].shape[:2]
    lengths = [longest] * batch if sequence_lens is None else list(sequence_lens)
    expect(len(lengths) == batch and all(0 <= n <= longest for n in lengths), "Scan",
           f"{batch} lengths of sequences up to {longest}", lengths, ArgumentError)  # fmt: skip
    results = []
    for i, length in enumerate(lengths):
        rows = _rows(body, len(values), len(states), outputs, "Scan")
        parts = [_slices(x[i][:length], 0, bool(b)) for x, b in zip(scanned, back, strict=True)]
        last = _run(body, [x[i] for x in states], parts, rows)
        joined = _joined(rows, body, [0] * len(rows), [False] * len(rows))
        results.append([*last, *(_lengthened(x, longest) for x in joined)])
    return tuple(stacked(each, 0) for each in zip(*results, strict=True))


# --- iterations -----------------------------------------------------------------------------------


def _run(body: Body, states: list[Any], parts: list[Any], rows: list[list[Any]]) -> list[Any]:
    """The states after a call for each slice; adds to `rows` what each call gives beside them."""
    lengths = [len(each) for each in parts]
    expect(len({*lengths}) == 1, "Scan", "scanned inputs of one length", lengths)
    if _native.capturing():
        _expect_few(lengths[0], body)
    for slices in zip(*parts, strict=True):
        found = body(*states, *slices)
        _gather(rows, found[len(states) :])
        states = [*found[: len(states)]]
    return states


def _rows(body: Body, inputs: int, states: int, outputs: int, name: str) -> list[list[Any]]:
    """An empty list for each scan output, where the sub-graph fits the node."""
    graph = body.program.graph
    expect(len(graph.inputs) == inputs, name, f"a body with {inputs} inputs",
           len(graph.inputs), ModelError)  # fmt: skip
    _expect_results(body, outputs, name)
    expect(outputs >= states, name, f"a body with {states} outputs or more", outputs, ModelError)
    return [[] for _ in range(outputs - states)]


def _gather(rows: list[list[Any]], found: Sequence[Any]) -> None:
    """Put a call's scan outputs into their rows."""
    for row, value in zip(rows, found, strict=True):
        row.append(value)
    if rows and len(rows[0]) * sum(value.nbytes for value in found) > MOST_SCAN_BYTES:
        raise OutOfMemoryError(
            f"Loop: expected scan outputs of at most {MOST_SCAN_BYTES} bytes, got more in "
            f"{len(rows[0])} iterations"
        )


def _joined(
    rows: list[list[Any]], body: Body, axes: Sequence[int], ahead: Sequence[bool]
) -> list[Any]:
    """Scan outputs as tensors, one more axis each."""
    infos = body.program.graph.outputs[len(body.program.graph.outputs) - len(rows) :]
    return [
        stacked(row[::-1] if back else row, axis) if row else _no_rows(info, axis)
        for row, info, axis, back in zip(rows, infos, axes, ahead, strict=True)
    ]


def _no_rows(info: ValueInfo, axis: int) -> Any:
    """The scan output of no iterations: unknown lengths are 0."""
    kind = info.type
    if kind is None or kind.kind != "tensor" or kind.elem_type not in TYPES:
        raise ModelError(
            f"Loop: expected the type of {info.name!r}, since there are no iterations, got none"
        )
    shape = [each if isinstance(each, int) else 0 for each in kind.shape or ()]
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 0)
    row = TYPES[kind.elem_type]
    if row.dtype is None:
        import ml_dtypes
        import numpy as np

        return np.empty(shape, np.dtype(getattr(ml_dtypes, row.numpy, row.numpy)))
    from tallow.factories import zeros

    return zeros(tuple(shape), dtype=row.dtype)


def _slices(x: Any, axis: int, back: bool) -> list[Any]:
    """The slices of a tensor along an axis."""
    expect(x.ndim > 0 and -x.ndim <= axis < x.ndim, "Scan", f"an axis of {x.ndim}", axis)
    if isinstance(x, Tensor):
        parts = [*x.unbind(axis)] if x.shape[axis] else []
    else:
        parts = [x.take(i, axis) for i in range(x.shape[axis])]
    return parts[::-1] if back else parts


def _lengthened(x: Any, length: int) -> Any:
    """A scan output with zeros behind it, up to a length."""
    if x.shape[0] == length:
        return x
    from tallow import ops

    return ops.cat([x, x.new_zeros((length - x.shape[0], *x.shape[1:]))])


# --- checks and numbers ---------------------------------------------------------------------------


def _single(value: Any, name: str, what: str) -> Any:
    """The element of a value of one element, as `tolist` gives it."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    expect(not isinstance(value, list), name, f"a {what} of one element", value, ArgumentError)
    return value


def _scalar(value: Any, dtype: str) -> Tensor:
    from tallow.factories import tensor

    return tensor(value, dtype=dtype)


def _each(given: Sequence[int], count: int, name: str) -> Sequence[int]:
    """An attribute with one number for each of `count`, which are 0 where it is left out."""
    if not given:
        return [0] * count
    expect(len(given) == count, "Scan", f"{count} numbers in {name}", len(given), ArgumentError)
    return given


def _scanned_count(values: Sequence[Any], count: int) -> int:
    expect(1 <= count <= len(values), "Scan", f"num_scan_inputs of 1 to {len(values)}", count,
           ArgumentError)  # fmt: skip
    return count


def _expect_results(body: Body, count: int, name: str) -> None:
    found = len(body.program.graph.outputs)
    expect(found == count, name, f"a sub-graph with {count} outputs", found, ModelError)


def _expect_few(count: int, body: Body) -> None:
    """A plan is not to repeat too much: then the sub-graph has one of its own."""
    if count * max(len(body.program.steps), 1) > _MOST_UNROLLED:
        raise CaptureError(f"Loop: expected few iterations in a plan, got {count}")


def _expect_an_end(goes_on: bool, count: int | None) -> None:
    if goes_on and (count is None or count >= _NO_COUNT):
        raise ModelError(
            f"Loop: expected an end within {MOST_ITERATIONS} iterations where there is no trip "
            "count, got a condition that is still true"
        )
