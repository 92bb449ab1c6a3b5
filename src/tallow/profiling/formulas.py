"""The work of a kernel call by its arguments: floating-point operations, and bytes of memory.

A product of matrices and a convolution count two operations a multiply-add, in the direct way
whichever way the kernel takes. Bytes are those of what a call reads and writes, each once; what it
has from a cache or keeps there is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.profiling.recording import Operand

Arguments = Mapping[str, "Operand | int | float"]


@dataclass(frozen=True)
class Work:
    """`flops` is None where no formula knows them."""

    flops: int | None
    bytes: int


def work_of(kernel: str, arguments: Arguments) -> Work:
    """The work of a call."""
    flops, size = FLOPS.get(kernel), BYTES.get(kernel, _all_bytes)
    return Work(flops(arguments) if flops else None, size(arguments))


def _array(arguments: Arguments, name: str) -> Operand:
    found = arguments[name]
    assert not isinstance(found, int | float)
    return found


def _integer(arguments: Arguments, name: str) -> int:
    found = arguments[name]
    assert isinstance(found, int | float)
    return int(found)


def _bytes(arguments: Arguments, *names: str) -> int:
    return sum(_array(arguments, name).bytes for name in names if name in arguments)


def _all_bytes(arguments: Arguments) -> int:
    """Of all operands; what is read and written counts twice."""
    arrays = [a for a in arguments.values() if not isinstance(a, int | float)]
    return sum(a.bytes * (1 + (a.mode == "inout")) for a in arrays)


# --- products -------------------------------------------------------------------------------------


def _product(arguments: Arguments, left: str) -> int:
    return 2 * prod(_array(arguments, "out").shape) * _array(arguments, left).shape[-1]


def _linear(arguments: Arguments) -> int:
    return _product(arguments, "x")


def _linear_several(arguments: Arguments) -> int:
    """Of one x with two or three weights."""
    results = [a for a in arguments.values() if not isinstance(a, int | float) and a.mode == "out"]
    return 2 * sum(prod(a.shape) for a in results) * _array(arguments, "x").shape[-1]


def _vecdot(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "a").shape)


def _matmul(arguments: Arguments) -> int:
    return _product(arguments, "a")


def _expert_outer(arguments: Arguments) -> int:
    """Of each pair of a token and one of its choices."""
    out, ids = _array(arguments, "out"), _array(arguments, "ids")
    return 2 * prod(ids.shape) * prod(out.shape[1:])


# --- convolutions: weights are (out channels, channels of a group, …) -----------------------------


def _conv(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "out").shape) * prod(_array(arguments, "weight").shape[1:])


def _conv_int8(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "out").shape) * prod(_array(arguments, "w").shape[1:])


def _conv_last(arguments: Arguments) -> int:
    """Of a packed weight: (panels, elements of a filter, filters of a panel)."""
    return 2 * prod(_array(arguments, "out").shape) * _array(arguments, "weight").shape[1]


def _most_likely(arguments: Arguments) -> int:
    """Of a packed weight, whose classes are a number."""
    return 2 * prod(_array(arguments, "x").shape) * _integer(arguments, "classes")


def _conv_depthwise_last(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "out").shape) * _array(arguments, "weight").shape[0]


def _conv_transformed(arguments: Arguments) -> int:
    """Of 3 × 3 weights, there as (elements of a tile, out channels, channels of a group)."""
    return 2 * prod(_array(arguments, "out").shape) * 9 * _array(arguments, "weight").shape[2]


def _conv_input_grad(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "g").shape) * prod(_array(arguments, "weight").shape[1:])


def _conv_weight_grad(arguments: Arguments) -> int:
    return 2 * prod(_array(arguments, "g").shape) * prod(_array(arguments, "out").shape[1:])


# --- attention: q is (batch, heads, queries, size), k and v (batch, key heads, keys, size) --------


def _positions(arguments: Arguments) -> tuple[int, int]:
    """Pairs of a query and a key that it sees, and keys that are read, of one head.

    Query i stands at `start` + i (none: i); with `start`, only keys before the last query's end are
    there. Where it differs by row, the caches are counted as full.
    """
    queries, keys = _array(arguments, "q").shape[-2], _array(arguments, "k").shape[-2]
    first, there = 0, keys
    if "start" in arguments:
        start = _array(arguments, "start").value
        first = keys - queries if start is None else start
        there = min(first + queries, keys)
    window = _integer(arguments, "window")
    if not _integer(arguments, "causal") & 1:
        return queries * there, there
    there = min(first + queries, there)
    pairs = 0
    for query in range(first, first + queries):
        seen = min(query + 1, there)
        pairs += min(seen, window) if window > 0 else seen
    least = max(first - window + 1, 0) if window > 0 else 0
    return pairs, there - least


def _attention(arguments: Arguments) -> int:
    """Scores, and the sum of values: 2 operations each for each element of a head."""
    q, v = _array(arguments, "q"), _array(arguments, "v")
    pairs, _ = _positions(arguments)
    return 2 * prod(q.shape[:-2]) * pairs * (q.shape[-1] + v.shape[-1])


def _attention_backward(arguments: Arguments) -> int:
    """Scores anew, and products for the gradients of weights, q, k and v."""
    return _attention(arguments) * 5 // 2


def _attention_bytes(arguments: Arguments) -> int:
    _, read = _positions(arguments)
    keys = max(_array(arguments, "k").shape[-2], 1)
    cached = _bytes(arguments, "k", "v") * read // keys
    return _bytes(arguments, "out", "q", "mask") + cached


# --- what reads or writes a part of an operand ----------------------------------------------------


def _embedding_bytes(arguments: Arguments) -> int:
    """The rows that the ids name."""
    weight, ids = _array(arguments, "weight"), _array(arguments, "ids")
    row = weight.bytes // max(weight.shape[0], 1)
    return _bytes(arguments, "out", "ids") + prod(ids.shape) * row


def _expert_linear_bytes(arguments: Arguments) -> int:
    """Of experts no more than are chosen, which is at most what the ids have room to name."""
    weight, ids = _array(arguments, "weight"), _array(arguments, "ids")
    experts = max(weight.shape[0], 1)
    read = min(experts, prod(ids.shape))
    return _bytes(arguments, "out", "x", "ids") + read * (
        (weight.bytes + _bytes(arguments, "bias")) // experts
    )


def _kv_write_bytes(arguments: Arguments) -> int:
    """What is written is what is read, in the dtype of the caches."""
    total = _bytes(arguments, "k", "v")
    for cache, new in (("cache_k", "k"), ("cache_v", "v")):
        dtype, count = _array(arguments, cache).dtype, _array(arguments, new).elements
        total += count // dtype.block * dtype.itemsize
    return total


def _picked_bytes(*picks: str) -> Callable[[Arguments], int]:
    """As many elements of x are read as are written, those that `picks` name."""

    def count(arguments: Arguments) -> int:
        return 2 * _bytes(arguments, "out") + _bytes(arguments, *picks)

    return count


def _index_write_bytes(arguments: Arguments) -> int:
    return 2 * _bytes(arguments, "values") + _bytes(arguments, "indices")


FLOPS: dict[str, Callable[[Arguments], int]] = {
    "linear": _linear,
    "linear_act": _linear,
    "linear_several": _linear_several,
    "linear_most_likely": _most_likely,
    "expert_linear": _linear,
    "expert_outer": _expert_outer,
    "vecdot": _vecdot,
    "matmul": _matmul,
    "matmul_int8": _matmul,
    "conv": _conv,
    "conv_int8": _conv_int8,
    "conv_act": _conv,
    "conv_last": _conv_last,
    "conv_depthwise_last": _conv_depthwise_last,
    "conv_transformed": _conv_transformed,
    "conv_input_grad": _conv_input_grad,
    "conv_weight_grad": _conv_weight_grad,
    "attention": _attention,
    "attention_per_head": _attention,
    "attention_backward": _attention_backward,
}
BYTES: dict[str, Callable[[Arguments], int]] = {
    "attention": _attention_bytes,
    "attention_per_head": _attention_bytes,
    "embedding": _embedding_bytes,
    "expert_linear": _expert_linear_bytes,
    "kv_write": _kv_write_bytes,
    "index": _picked_bytes("indices"),
    "gather": _picked_bytes("index"),
    "plane_gather": _picked_bytes("indices"),
    "index_write": _index_write_bytes,
}
