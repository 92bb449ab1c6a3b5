"""Weights of products with few rows are laid out once as these read them best.

A product with many rows packs the weight whichever way it lies. One with few reads it in its order:
dot products along rows take a fifth less time than sums of columns, but for a single row; and
rows that are too short for several sums at a time are packed at each call, columns are not.
"""

from __future__ import annotations

from tallow.plan.rewrites.graph import Call, Graph, Value, bytes_of
from tallow.plan.rewrites.once import fixed_buffers

_MOST = 64  # rows of x
_SHORT = 256  # elements of a row of weights: below, a kernel has one sum for each (linear_order.h)


def weight_layouts(graph: Graph) -> int:
    """Give `linear` and `linear_act` a weight in rows, or in columns, in the place of the other."""
    fixed = fixed_buffers(graph)
    calls: list[Call] = []
    made: dict[tuple[int, bool], int] = {}
    for call in graph.calls:
        wanted = _wanted(graph, call)
        if wanted is not None and graph.buffer_of(call.args[2][1]) in fixed:
            weight = call.args[2][1]
            key = (weight, wanted)
            if key not in made:
                made[key] = _laid_out(graph, weight, wanted)
                calls.append(Call("copy", [("value", made[key]), ("value", weight)]))
            call = Call(call.kernel, [*call.args[:2], ("value", made[key]), *call.args[3:]])
        calls.append(call)
    graph.calls = calls
    return len(made)


def _wanted(graph: Graph, call: Call) -> bool | None:
    """Whether a weight is wanted in rows (True) or in columns (False); None: as it is."""
    if call.kernel not in ("linear", "linear_act"):
        return None
    x, weight = graph.values[call.args[1][1]], graph.values[call.args[2][1]]
    if len(weight.shape) != 2 or min(weight.shape) < 2 or bytes_of(weight.dtype) == 0:
        return None  # blocks lie along rows
    n, k = weight.shape
    rows = x.size // k
    if weight.strides == (1, n):
        return True if 2 <= rows <= _MOST else None
    return False if rows == 1 and k < _SHORT and weight.strides == (k, 1) else None


def _laid_out(graph: Graph, weight: int, rows: bool) -> int:
    """A new buffer of a weight's shape, in rows or in columns."""
    value = graph.values[weight]
    n, k = value.shape
    if rows:
        return graph.temporary(value.dtype, (n, k))
    plain = graph.values[graph.temporary(value.dtype, (k, n))]
    return graph.value(Value(plain.buffer, 0, value.dtype, (n, k), (1, n)))
