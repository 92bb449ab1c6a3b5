"""Calls that compute what another has computed give way to its result."""

from __future__ import annotations

from typing import Any

from tallow.plan.rewrites.graph import Call, Graph

_SMALL = 4096  # bytes


def duplicates(graph: Graph) -> int:
    """Leave out a call of a kernel on arguments that nothing has written since an equal call.

    Small constants of the same bytes, such as numbers, are one.

    Both results must be memory that no other call writes; the second must be no result of the plan,
    which the caller may write.
    """
    uses = graph.uses()
    moved = _same_constants(graph)  # buffers
    writes = [0] * len(graph.buffers)
    outside = 0
    first: dict[Any, list[_Made]] = {}
    kept = []
    for at, call in enumerate(graph.calls):
        _redirect(graph, call, moved)
        written = [graph.buffer_of(v) for v in call.writes()]
        if all(uses.made_by(b) == at for b in written):
            ages = [
                outside if uses.group(b) < 0 else writes[b]
                for b in map(graph.buffer_of, call.reads())
            ]
            made = _Made(call, ages, written)
            alike = first.setdefault((call.kernel, *call.reads()), [])
            other = next((each for each in alike if each.same(graph, made)), None)
            if other is None:
                alike.append(made)
            elif all(uses.is_private(b) for b in written):
                moved.update(zip(written, other.written, strict=True))
                continue
        for b in written:
            writes[b] += 1
            outside += uses.group(b) < 0
        kept.append(call)
    removed = len(graph.calls) - len(kept)
    graph.calls = kept
    if moved:
        graph.changed()
    return removed


class _Made:
    """A call, how often what it reads had been written, and the buffers that it writes."""

    __slots__ = ("_key", "ages", "call", "written")

    def __init__(self, call: Call, ages: list[int], written: list[int]) -> None:
        self.call, self.ages, self.written = call, ages, written
        self._key: Any = None

    def same(self, graph: Graph, other: _Made) -> bool:
        """Whether both compute the same; few calls are ever asked."""
        return bool(self.key(graph) == other.key(graph))

    def key(self, graph: Graph) -> Any:
        """What follows from the tables."""
        if self._key is None:
            self._key = _key(graph, self.call, self.ages)
        return self._key


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
    if not moved:
        return
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
