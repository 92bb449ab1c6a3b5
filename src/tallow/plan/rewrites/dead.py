"""Calls whose results nobody reads are left out."""

from __future__ import annotations

from tallow.plan.rewrites.graph import Graph

# Their errors tell of values: without the call, a run would take what it refuses.
_CHECKS = frozenset({"embedding", "index", "index_put", "index_write", "gather", "scatter",
                     "scatter_add", "scatter_reduce", "plane_gather", "plane_scatter", "kv_write",
                     "sample", "random_poisson"})  # fmt: skip


def dead(graph: Graph) -> int:
    """Leave out calls that write temporaries alone, none of which is read later."""
    live = {graph.buffer_of(v) for v in graph.outputs}
    kept = []
    for call in reversed(graph.calls):
        written = [graph.buffer_of(v) for v in call.writes()]
        private = all(graph.buffers[b].role == "temporary" for b in written)
        if private and call.kernel not in _CHECKS and not any(b in live for b in written):
            continue
        kept.append(call)
        for mode, value in call.arrays():  # what it overwrites is not needed before
            if mode == "out" and graph.whole(value):
                live.discard(graph.buffer_of(value))
        live.update(graph.buffer_of(v) for v in call.reads())
    removed = len(graph.calls) - len(kept)
    graph.calls = kept[::-1]
    return removed
