"""What follows from weights and constants alone is computed once, not at each run.

The calls come first in the plan. They run again when a weight that they read has been written
(its version counts that) or has been moved, and at each run where it may be written unseen: its
memory is borrowed, or has been lent by the buffer protocol or DLPack. So nothing is folded that a
later change of a weight would miss.
"""

from __future__ import annotations

from tallow.plan.rewrites.graph import Call, Graph, Uses, bytes_of

# A result of twice the size of all that it is made of is kept up to this size: a conversion of
# weights to a wider dtype is computed anew, or the plan would hold them a second time, and larger.
_SMALL = 65536  # bytes
_KEPT = (
    "winograd_weight",
    "recurrent_weight",
)  # larger on purpose: it would not be there to be computed at each run


def once(graph: Graph) -> int:
    """Put calls first that read no input and no state, and keep their results.

    A plan that writes memory outside is left as it is.
    """
    if graph.uses().writes_outside:
        return 0
    fixed = fixed_buffers(graph)
    first: list[Call] = []
    rest: list[Call] = []
    for call in graph.calls:
        written = [graph.buffer_of(v) for v in call.writes()]
        (first if written and fixed.issuperset(written) else rest).append(call)
    needed = {graph.buffer_of(v) for call in rest for v in call.reads()}
    for b in {graph.buffer_of(v) for call in first for v in call.writes()} & needed:
        size = graph.buffers[b].bytes
        graph.buffers[b] = graph.buffers[b]._replace(role="kept", given=("kept", size))
    graph.calls = first + rest
    graph.once = len(first)
    return len(first)


def fixed_buffers(graph: Graph, uses: Uses | None = None) -> set[int]:
    """Weights, constants, and what calls make of them that may come before all others.

    `uses` are given by a pass that has changed calls since it began.
    """
    if uses is not None:
        return _found_fixed(graph, uses)
    if graph.fixed is None:
        graph.fixed = _found_fixed(graph, graph.uses())
    return graph.fixed


def _found_fixed(graph: Graph, uses: Uses) -> set[int]:
    values = graph.values
    fixed = {b for b, row in enumerate(graph.buffers) if row.role in ("weight", "constant")}
    for at, call in enumerate(graph.calls):
        if not all(values[v].buffer in fixed for v in call.reads()):
            continue
        written = [values[v].buffer for v in call.writes()]
        made = all(uses.made_by(b) == at and uses.is_private(b) for b in written)
        if made and not _grows(graph, call):
            fixed.update(written)
    return fixed


def _grows(graph: Graph, call: Call) -> bool:
    if call.kernel in _KEPT:
        return False
    read = 0
    for v in call.reads():
        value = graph.values[v]
        item = bytes_of(value.dtype)
        if item == 0:
            return True  # blocks
        read += value.size * item
    made = sum(graph.buffers[graph.buffer_of(v)].bytes for v in call.writes())
    return made >= 2 * read and made > _SMALL
