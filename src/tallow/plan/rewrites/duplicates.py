"""Calls that compute what another has computed give way to its result."""

from __future__ import annotations

from typing import Any

from tallow.plan.rewrites.graph import Call, Graph, Uses

_SMALL = 4096  # bytes


def duplicates(graph: Graph) -> int:
    """Leave out a call of a kernel on arguments that nothing has written since an equal call.

    Small constants of the same bytes, such as numbers, are one.

    Both results must be memory that no other call writes; the second must be no result of the plan,
    which the caller may write.
    """
    uses = Uses(graph)
    moved = _same_constants(graph)  # buffers
    writes = [0] * len(graph.buffers)
    outside = 0
    first: dict[Any, list[int]] = {}
    kept = []
    for at, call in enumerate(graph.calls):
        _redirect(graph, call, moved)
        written = [graph.buffer_of(v) for v in call.writes()]
        if all(uses.made_by(b) == at for b in written):
            ages = [
                outside if uses.group(b) < 0 else writes[b]
                for b in map(graph.buffer_of, call.reads())
            ]
            key = _key(graph, call, ages)
            other = first.get(key)
            if other is None:
                first[key] = written
            elif all(uses.is_private(b) for b in written):
                moved.update(zip(written, other, strict=True))
                continue
        for b in written:
            writes[b] += 1
            outside += uses.group(b) < 0
        kept.append(call)
    removed = len(graph.calls) - len(kept)
    graph.calls = kept
    return removed


def _same_constants(graph: Graph) -> dict[int, int]:
    found: dict[bytes, int] = {}
    moved: dict[int, int] = {}
    results = {graph.buffer_of(v) for v in graph.outputs}
    for b, row in enumerate(graph.buffers):
        if row.role == "constant" and row.bytes <= _SMALL and b not in results:
            first = found.setdefault(graph.content(b), b)
            if first != b:
                moved[b] = first
    graph.watched.update(moved)
    return moved


def _redirect(graph: Graph, call: Call, moved: dict[int, int]) -> None:
    for i, arg in enumerate(call.args):
        if type(arg) is tuple and (to := moved.get(graph.buffer_of(arg[1]))) is not None:
            call.args[i] = ("value", graph.value(graph.values[arg[1]]._replace(buffer=to)))


def _key(graph: Graph, call: Call, ages: list[int]) -> Any:
    """All that a result follows from: arguments, the shapes of results, writes of what is read."""
    written = set(call.writes())
    args = [
        (*graph.values[arg[1]][1:], graph.buffers[graph.buffer_of(arg[1])].bytes)
        if type(arg) is tuple and arg[1] in written
        else (type(arg), repr(arg))
        for arg in call.args
    ]
    return (call.kernel, tuple(args), tuple(ages))
