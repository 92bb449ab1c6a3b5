"""A batch norm after a convolution becomes part of its kernel and bias.

The kernel times the scale and the shifted bias follow from weights alone, so `once` computes them
when these have changed; alone, this pass trades two passes over the result for one over the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses, Value
from tallow.plan.rewrites.once import fixed_buffers


@dataclass(frozen=True)
class _Norm:
    """(conv - mean) * scale + shift, by channel; values of one axis."""

    at: int  # of the last call
    out: int
    mean: int
    scale: int
    shift: int


def batch_norms(graph: Graph) -> int:
    """Fold `sub` of the mean and `addcmul` of scale and shift into the `conv` before them.

    All three must follow from weights and constants, and be f32.
    """
    uses = Uses(graph)
    fixed = fixed_buffers(graph, uses)
    placed: list[list[Call]] = [[call] for call in graph.calls]
    folded = 0
    for at, call in enumerate(graph.calls):
        if call.kernel != "conv" or graph.values[call.args[0][1]].dtype != f32.code:
            continue
        norm = _norm_after(graph, uses, fixed, at)
        if norm is None:
            continue
        middle = uses.readers[graph.buffer_of(call.args[0][1])][0]
        placed[at], placed[middle], placed[norm.at] = [], [], _folded(graph, call, norm)
        folded += 1
    graph.calls = [call for calls in placed for call in calls]
    return folded


def _norm_after(graph: Graph, uses: Uses, fixed: set[int], at: int) -> _Norm | None:
    conv = graph.calls[at]
    to = conv.args[0][1]
    middle = _only_reader(graph, uses, at, to)
    if middle is None or graph.calls[middle].kernel != "sub":
        return None
    between, minuend, mean = (arg[1] for arg in graph.calls[middle].args)
    last = _only_reader(graph, uses, middle, between)
    if minuend != to or last is None or graph.calls[last].kernel != "addcmul":
        return None
    out, shift, first, second = (arg[1] for arg in graph.calls[last].args[:4])
    scale = second if first == between else first
    if graph.calls[last].args[4] != 1.0 or between not in (first, second) or scale == between:
        return None
    if graph.values[out].shape != graph.values[to].shape:
        return None
    lines = [_by_channel(graph, each) for each in (mean, scale, shift)]
    read = [graph.buffer_of(v) for v in (*conv.reads(), mean, scale, shift)]
    weight = graph.buffer_of(conv.args[2][1])
    target = graph.buffer_of(out)
    if (
        None in lines
        or graph.values[out].dtype != f32.code
        or not fixed.issuperset([weight, *read[-3:]])
        or any(uses.may_share(b, target) for b in read)
        or any(uses.written(graph.buffer_of(v), at + 1, last) for v in conv.reads())
    ):
        return None
    return _Norm(last, out, *(line for line in lines if line is not None))


def _only_reader(graph: Graph, uses: Uses, at: int, value: int) -> int | None:
    """The one call that reads this result of call `at`, once and as it is."""
    buffer = graph.buffer_of(value)
    readers = uses.readers[buffer]
    if len(readers) != 1 or uses.made_by(buffer) != at or not uses.is_private(buffer):
        return None
    reads = graph.calls[readers[0]].reads()
    return readers[0] if reads.count(value) == 1 else None


def _by_channel(graph: Graph, value: int) -> int | None:
    """The values of the channels that a view repeats for all else, as one axis."""
    v = graph.values[value]
    others = [s for i, (s, n) in enumerate(zip(v.strides, v.shape, strict=True)) if i != 1 < n]
    if v.dtype != f32.code or len(v.shape) < 3 or any(others):
        return None
    return graph.value(Value(v.buffer, v.offset, v.dtype, (v.shape[1],), (v.strides[1],)))


def _folded(graph: Graph, conv: Call, norm: _Norm) -> list[Call]:
    """The convolution with another kernel and bias, after the calls that make them."""
    weight, bias = conv.args[2], conv.args[3]
    shape = graph.values[weight[1]].shape
    calls: list[Call] = []

    def made(kernel: str, like: tuple[int, ...], *operands: int) -> int:
        out = graph.temporary(f32.code, like)
        calls.append(Call(kernel, [("value", each) for each in (out, *operands)]))
        return out

    line = graph.values[norm.scale]
    spread = graph.value(
        line._replace(shape=shape, strides=(*line.strides, *[0] * (len(shape) - 1)))
    )
    kernel = made("mul", shape, weight[1], spread)
    if bias is None:
        shift = made("sub", line.shape, norm.shift, made("mul", line.shape, norm.mean, norm.scale))
    else:
        moved = made("sub", line.shape, bias[1], norm.mean)
        shift = made("add", line.shape, norm.shift, made("mul", line.shape, moved, norm.scale))
    args = [("value", norm.out), conv.args[1], ("value", kernel), ("value", shift)]
    return [*calls, Call("conv", [*args, *conv.args[4:]])]
