"""Copies of what could be read where it is are left out."""

from __future__ import annotations

from tallow.plan.rewrites.graph import Graph, Uses, Value, modes_of
from tallow.plan.rewrites.steps import takes_strides


def copies(graph: Graph) -> int:
    """Leave out a copy into a temporary that no other call writes.

    Its readers take the source instead, where that has the same layout, or where the copy has one
    reader whose kernel takes any strides. Nothing may write the source before the last of them is
    done.
    """
    removed = 0
    at = 0
    uses = graph.uses()
    while at < len(graph.calls):
        if graph.calls[at].kernel == "copy" and _leave_out(graph, uses, at):
            del graph.calls[at]
            uses = Uses(graph)
            removed += 1
        else:
            at += 1
    return removed


def _leave_out(graph: Graph, uses: Uses, at: int) -> bool:
    (_, to), (_, source) = graph.calls[at].args
    out, x = graph.values[to], graph.values[source]
    readers = uses.readers[out.buffer]
    if (
        uses.made_by(out.buffer) != at
        or not uses.is_private(out.buffer)
        or not readers
        or out.dtype != x.dtype
        or not graph.whole(to)
        or uses.written(x.buffer, at + 1, readers[-1] + 1)
    ):
        return False
    if out.steps == x.steps:
        return _read_alike(graph, readers, out, x)
    return len(readers) == 1 and _read_strided(graph, readers[0], to, source)


def _read_alike(graph: Graph, readers: list[int], out: Value, x: Value) -> bool:
    """Every view of the copy as one of the source."""
    shift = x.offset - out.offset
    seen = [
        (call, i, graph.values[arg[1]])
        for call in (graph.calls[r] for r in dict.fromkeys(readers))
        for i, arg in enumerate(call.args)
        if type(arg) is tuple and graph.buffer_of(arg[1]) == out.buffer
    ]
    if any(view.dtype != out.dtype for _, _, view in seen):
        return False
    for call, i, view in seen:
        moved = view._replace(buffer=x.buffer, offset=view.offset + shift)
        call.args[i] = ("value", graph.value(moved))
    return True


def _read_strided(graph: Graph, reader: int, to: int, source: int) -> bool:
    call = graph.calls[reader]
    places = [i for i, arg in enumerate(call.args) if arg == ("value", to)]
    modes = modes_of(call.kernel)
    if len(places) != 1 or modes[places[0]] != "in" or not takes_strides(call.kernel, places[0]):
        return False
    call.args[places[0]] = ("value", source)
    return True
