"""Of a product and softmax over it, the largest element and its place, without the others.

The kernel writes no probability of a class that nobody asks for. Its place is that of the largest
sum: where rounding makes two probabilities equal, it may be the second of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses, Value, is_kernel
from tallow.plan.rewrites.once import fixed_buffers

_LANES: Final = 16  # classes of a panel of the weight


class _Found(NamedTuple):
    """Places of the calls, and the results: place and probability."""

    linear: int
    calls: tuple[int, int, int]  # softmax, argmax, amax
    place: int
    probability: int


def likeliest(graph: Graph) -> int:
    """`linear`, `softmax`, then `argmax` and `amax` along the last axis, as one call."""
    if not is_kernel("linear_most_likely"):
        return 0
    uses = graph.uses()
    fixed = fixed_buffers(graph)
    changed: dict[int, list[Call]] = {}
    found = [_found(graph, uses, fixed, at) for at in range(len(graph.calls))]
    for each in filter(None, found):
        changed[each.linear] = changed[each.calls[1]] = changed[each.calls[2]] = []
        changed[each.calls[0]] = _joined(graph, each)
    graph.calls = [c for at, call in enumerate(graph.calls) for c in changed.get(at, [call])]
    return len(found) - found.count(None)


def _found(graph: Graph, uses: Uses, fixed: set[int], at: int) -> _Found | None:
    """What a softmax ends, if nothing else sees what lies between."""
    call = graph.calls[at]
    if call.kernel != "softmax" or call.args[3] or not _is_plain(graph, call.args[0][1]):
        return None
    sums, made = call.args[1][1], call.args[0][1]
    last = len(graph.values[sums].shape) - 1
    before = _only_writer(graph, uses, sums)
    readers = uses.readers[graph.buffer_of(made)]
    if call.args[2] not in (-1, last) or before is None or len(readers) != 2:
        return None
    if uses.made_by(graph.buffer_of(made)) != at or not uses.is_private(graph.buffer_of(made)):
        return None
    linear = graph.calls[before]
    if uses.readers[graph.buffer_of(sums)] != [at] or not _is_ours(graph, fixed, linear):
        return None
    ends = {graph.calls[r].kernel: r for r in readers}
    if ends.keys() != {"argmax", "amax"} or linear.args[0][1] != sums:
        return None
    argmax, amax = (graph.calls[ends[name]] for name in ("argmax", "amax"))
    if argmax.args[1:] != [("value", made), last] or amax.args[1:] != [("value", made), 1 << last]:
        return None
    index, probability = argmax.args[0][1], amax.args[0][1]
    shape = graph.values[sums].shape[:-1]
    if not all(_is_result(graph, uses, v, shape, ends) for v in (index, probability)):
        return None
    if any(uses.written(graph.buffer_of(v), before + 1, at + 1) for v in linear.reads()):
        return None
    return _Found(before, (at, ends["argmax"], ends["amax"]), index, probability)


def _only_writer(graph: Graph, uses: Uses, value: int) -> int | None:
    buffer = graph.buffer_of(value)
    at = uses.made_by(buffer)
    return at if at >= 0 and uses.is_private(buffer) and _is_plain(graph, value) else None


def _is_plain(graph: Graph, value: int) -> bool:
    v = graph.values[value]
    return v.dtype == f32.code and v.contiguous and v.size > 0


def _is_ours(graph: Graph, fixed: set[int], call: Call) -> bool:
    """Whether the kernel can take the product's operands."""
    if call.kernel != "linear":
        return False
    x, weight = graph.values[call.args[1][1]], graph.values[call.args[2][1]]
    if weight.dtype != f32.code or len(weight.shape) != 2 or weight.buffer not in fixed:
        return False
    bias = call.args[3]
    plain = bias is None or (
        _is_plain(graph, bias[1]) and graph.values[bias[1]].shape == weight.shape[:1]
    )
    return plain and x.dtype == f32.code and x.size > 0 and x.shape[-1:] == weight.shape[1:]


def _is_result(
    graph: Graph, uses: Uses, value: int, shape: tuple[int, ...], ends: dict[str, int]
) -> bool:
    """Whether it may be written before: nothing else writes its memory, or has read it."""
    v = graph.values[value]
    keeps = v.shape in (shape, (*shape, 1))
    return keeps and v.contiguous and uses.made_by(v.buffer) in ends.values()


def _joined(graph: Graph, found: _Found) -> list[Call]:
    """The packed weight, and the one call."""
    _, x, weight, bias, *_ = graph.calls[found.linear].args
    given = graph.values[weight[1]]
    n, k = given.shape
    packed = graph.temporary(f32.code, (-(-n // _LANES), k, _LANES))
    wide = graph.value(given._replace(shape=(n, k, 1, 1), strides=(*given.strides, 1, 1)))
    results = [graph.values[v] for v in (found.place, found.probability)]
    shape = graph.values[graph.calls[found.linear].args[0][1]].shape[:-1]
    index, probability = (graph.value(_contiguous(v, shape)) for v in results)
    return [
        Call("conv_last_weight", [("value", packed), ("value", wide)]),
        Call("linear_most_likely", [("value", index), ("value", probability), x,
                                    ("value", packed), bias, n]),
    ]  # fmt: skip


def _contiguous(value: Value, shape: tuple[int, ...]) -> Value:
    """A contiguous value's elements in another shape."""
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.insert(0, step)
        step *= length
    return value._replace(shape=shape, strides=tuple(strides))
