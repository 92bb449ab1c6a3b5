"""Zeros around an image are the padding of the convolution that reads it.

Sums then leave out products with zero. No bit was seen to change, but a way of computing may be
chosen by the size of what it reads, and zero times an infinite weight is none of the sum any more.
"""

from __future__ import annotations

from typing import Any

from tallow.plan.rewrites.graph import Call, Graph, Uses

_CONSTANT = 0  # of the modes of pad
_OFFSETS = {"conv": 7, "conv_act": 9}  # of three axes, the first axis first


def pads(graph: Graph) -> int:
    """Leave out a `pad` by zeros along spatial axes that one convolution reads."""
    uses = graph.uses()
    kept: list[Call] = []
    for at, call in enumerate(graph.calls):
        if call.kernel != "pad" or not _moved(graph, uses, at):
            kept.append(call)
    removed = len(graph.calls) - len(kept)
    graph.calls = kept
    return removed


def _moved(graph: Graph, uses: Uses, at: int) -> bool:
    """Whether the reader of this call does it now."""
    (_, to), (_, source), value, mode, *before = graph.calls[at].args
    out, x = graph.values[to], graph.values[source]
    readers = uses.readers[out.buffer]
    if (
        mode != _CONSTANT
        or value is not None
        or len(readers) != 1
        or uses.made_by(out.buffer) != at
        or not uses.is_private(out.buffer)
        or uses.written(x.buffer, at + 1, readers[0])
    ):
        return False
    reader = graph.calls[readers[0]]
    offsets = _OFFSETS.get(reader.kernel)
    if offsets is None or reader.args[1] != ("value", to):
        return False
    if uses.may_share(x.buffer, graph.buffer_of(reader.args[0][1])):
        return False
    spatial = len(x.shape) - 2
    behind = [
        n - length - b
        for n, length, b in zip(out.shape, x.shape, reversed(before[: len(x.shape)]), strict=True)
    ]
    if any(before[spatial:]) or any(behind[:2]) or min(*before, *behind) < 0 or x.size == 0:
        return False
    numbers: list[Any] = reader.args
    numbers[1] = ("value", source)
    for i in range(spatial):
        numbers[offsets + 2 - i] -= before[i]
    return True
