"""Activation and residual as the end of the product or convolution before them.

The sums are written once instead of three times. Kernels add and apply what the calls did in the
same order and precision, so no bit changes.
"""

from __future__ import annotations

from math import copysign
from typing import Any

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses

# Numbers of kernels (linear_act, conv_act).
_ACTS = {
    "gelu": 1, "gelu_tanh": 2, "quick_gelu": 3, "relu": 4, "silu": 5, "hardswish": 7,
    "hardsigmoid": 8, "sigmoid": 9,
}  # fmt: skip
_RELU6 = 6
_JOINED = {"linear": "linear_act", "conv": "conv_act"}
# Places of arguments of the joined kernels; both have out, x, weight and bias before them.
_RESIDUAL, _ACT = 4, 5


def linear_epilogues(graph: Graph) -> int:
    """`linear`, then an activation, then the addition of an array of the result's shape."""
    return _run(graph, "linear")


def conv_epilogues(graph: Graph) -> int:
    """`conv`, then the addition of an array of the result's shape, then an activation."""
    return _run(graph, "conv")


def _run(graph: Graph, kernel: str) -> int:
    uses = graph.uses()
    calls: list[Call | None] = [*graph.calls]
    joined = 0
    for at in range(len(calls)):
        here = calls[at]
        while here is not None and here.kernel in (kernel, _JOINED[kernel]):
            found = _join(graph, uses, calls, at, _JOINED[kernel])
            if found is None:
                break
            calls[at] = None
            at, here = found
            calls[at] = here
            joined += 1
    graph.calls = [call for call in calls if call is not None]
    return joined


def _join(
    graph: Graph, uses: Uses, calls: list[Call | None], at: int, name: str
) -> tuple[int, Call] | None:
    """The call that does what this one and the reader of its result do, and where it goes."""
    call = calls[at]
    assert call is not None
    to = call.args[0][1]
    out = graph.values[to]
    readers = uses.readers[out.buffer]
    if (
        len(readers) != 1
        or uses.made_by(out.buffer) != at
        or not uses.is_private(out.buffer)
        or not _is_plain(graph, to)
    ):
        return None
    reader = calls[readers[0]]
    if reader is None:  # joined with another, which reads this as its residual
        return None
    before = call.args if call.kernel == name else _widened(call.args)
    args = _ended(graph, reader, to, before, name)
    if args is None or any(uses.written(b, at + 1, readers[0]) for b in _read(graph, call)):
        return None
    made = Call(name, args)
    target = graph.buffer_of(args[0][1])
    if any(uses.may_share(target, b) for b in _read(graph, made)):
        return None
    return readers[0], made


def _ended(graph: Graph, reader: Call, to: int, args: list[Any], name: str) -> list[Any] | None:
    """The arguments with what the reader does, or None if that is no end of this kernel."""
    target = reader.args[0]
    if type(target) is not tuple or not _is_plain(graph, target[1]):
        return None
    if graph.values[target[1]].shape != graph.values[to].shape:
        return None
    ended = [target, *args[1:]]
    act = _act_of(reader)
    if act and reader.args[1] == ("value", to):
        free = args[_ACT] == 0 and (name == "conv_act" or args[_RESIDUAL] is None)
        ended[_ACT] = act
        return ended if free else None
    if reader.kernel != "add" or reader.args[1:].count(("value", to)) != 1:
        return None
    free = args[_RESIDUAL] is None and (name == "linear_act" or args[_ACT] == 0)
    other = reader.args[2] if reader.args[1] == ("value", to) else reader.args[1]
    residual = graph.values[other[1]]
    if not free or not _is_plain(graph, other[1]) or residual.shape != graph.values[to].shape:
        return None
    ended[_RESIDUAL] = other
    return ended


def _act_of(call: Call) -> int:
    """The number of an activation, 0 of all else."""
    if call.kernel == "clamp":
        low, high = call.args[2:4]
        return _RELU6 if low == 0 and copysign(1, low) == 1 and high == 6 else 0
    return _ACTS.get(call.kernel, 0)


def _widened(args: list[Any]) -> list[Any]:
    """With no residual and no activation."""
    return [*args[:4], None, 0, *args[4:]]


def _is_plain(graph: Graph, value: int) -> bool:
    v = graph.values[value]
    return v.dtype == f32.code and v.contiguous and v.size > 0


def _read(graph: Graph, call: Call) -> list[int]:
    return [graph.buffer_of(v) for v in call.reads()]
