"""A batch norm after a convolution becomes part of its kernel and bias.

The kernel times the scale and the shifted bias follow from weights alone, so `once` computes them
when these have changed; alone, this pass trades two passes over the result for one over the kernel.
"""

from __future__ import annotations

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses
from tallow.plan.rewrites.once import fixed_buffers


def batch_norms(graph: Graph) -> int:
    """Fold `batch_norm` into the `conv` before it.

    The kernel, the statistics and the parameters must follow from weights and constants, and be
    f32.
    """
    uses = graph.uses()
    fixed = fixed_buffers(graph)
    placed: list[list[Call]] = [[call] for call in graph.calls]
    folded = 0
    for at, call in enumerate(graph.calls):
        if call.kernel != "conv" or graph.values[call.args[0][1]].dtype != f32.code:
            continue
        last = _norm_after(graph, uses, fixed, at)
        if last is None:
            continue
        placed[at], placed[last] = [], _folded(graph, call, graph.calls[last])
        folded += 1
    graph.calls = [call for calls in placed for call in calls]
    return folded


def _norm_after(graph: Graph, uses: Uses, fixed: set[int], at: int) -> int | None:
    """The call of the batch norm that reads the result of the convolution `at`."""
    conv = graph.calls[at]
    to = conv.args[0][1]
    last = _only_reader(graph, uses, at, to)
    if last is None or graph.calls[last].kernel != "batch_norm":
        return None
    norm = graph.calls[last]
    out, lines = norm.args[0][1], [arg[1] for arg in norm.args[2:6] if arg is not None]
    weights = [graph.buffer_of(v) for v in (conv.args[2][1], *lines)]
    target = graph.buffer_of(out)
    if (
        norm.args[1][1] != to
        or norm.args[2] is None
        or any(graph.values[v].dtype != f32.code for v in (out, *lines))
        or not fixed.issuperset(weights)
        or any(uses.may_share(graph.buffer_of(v), target) for v in (*conv.reads(), *lines))
        or any(uses.written(graph.buffer_of(v), at + 1, last) for v in conv.reads())
    ):
        return None
    return last


def _only_reader(graph: Graph, uses: Uses, at: int, value: int) -> int | None:
    """The one call that reads this result of call `at`, once and as it is."""
    buffer = graph.buffer_of(value)
    readers = uses.readers[buffer]
    if len(readers) != 1 or uses.made_by(buffer) != at or not uses.is_private(buffer):
        return None
    reads = graph.calls[readers[0]].reads()
    return readers[0] if reads.count(value) == 1 else None


def _folded(graph: Graph, conv: Call, norm: Call) -> list[Call]:
    """The convolution with another kernel and bias, after the calls that make them.

    Both are batch norms of what was there: of the kernel without mean and bias, of the bias with.
    """
    weight, bias = conv.args[2], conv.args[3]
    out, mean = norm.args[0], norm.args[2]
    calls: list[Call] = []

    def as_sample(value: int) -> tuple[str, int]:
        """With an axis of length 1 in front of the channels."""
        v = graph.values[value]
        return "value", graph.value(v._replace(shape=(1, *v.shape), strides=(v.size, *v.strides)))

    def normed(value: int, *statistics: object) -> tuple[str, int]:
        to = graph.temporary(f32.code, graph.values[value].shape)
        calls.append(Call("batch_norm", [as_sample(to), as_sample(value), *statistics]))
        return "value", to

    eps, scale, shift = norm.args[6], norm.args[4], norm.args[5]
    if bias is None:
        bias = ("value", graph.temporary(f32.code, graph.values[mean[1]].shape))
        calls.append(Call("sub", [bias, mean, mean]))  # zeros
    shifted = normed(bias[1], mean, norm.args[3], scale, shift, eps)
    scaled = normed(weight[1], None, norm.args[3], scale, None, eps)
    return [*calls, Call("conv", [out, conv.args[1], scaled, shifted, *conv.args[4:]])]
