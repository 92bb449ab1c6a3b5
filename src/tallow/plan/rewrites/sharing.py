"""What follows from weights alone is one piece of memory for all plans of a function.

Plans of several shapes lay out and transform the same weights. Two results are the same if one
kernel made them of the same weights, constants and numbers: their plans write one buffer, and one
that is made later leaves out what another has written already. Each plan still sees for itself
when a weight is written, and computes all of it anew. The memory lives as long as one of the plans:
some of it follows from a shape, too, of which there may be ever more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

from tallow import _native
from tallow.dtype import u8
from tallow.plan.rewrites.graph import Call, Graph

_SMALL = 65536  # bytes of a constant that is compared by them: plans have copies of such
Key = tuple[Any, ...]
Sources = dict[int, _native.Array]  # weights and constants by the ids of their memory


class Result:
    """Memory of a result; held by those who have a plan with it."""

    __slots__ = ("__weakref__", "is_there", "memory", "sources")

    def __init__(self, size: int, sources: Sources) -> None:
        self.memory = _native.Array.empty((size,), u8.code)
        self.sources = sources  # in use, so that no other memory gets their ids
        self.is_there = False


class Shared:
    """Results by how they are made. Only plans that run one after the other may share them."""

    def __init__(self) -> None:
        self._results: WeakValueDictionary[Key, Result] = WeakValueDictionary()
        self.choices: dict[Any, frozenset[int]] = {}  # as `Graph.choices`

    def place(self, graph: Graph) -> tuple[Result, ...]:
        """Give the kept buffers of a plan their memory; all that is not there its run fills."""
        keys, sources = _keys(graph)
        found: dict[int, Result] = {}
        for b, key in keys.items():
            row = graph.buffers[b]
            if row.role != "kept":
                continue
            result = self._results.get(key)
            if result is None:
                result = self._results[key] = Result(row.bytes, sources[b])
            graph.buffers[b] = row._replace(given=("kept", result.memory))
            found[b] = result
        graph.there = _left_out(graph, {b for b, result in found.items() if result.is_there})
        return tuple(found.values())


def fill(results: Iterable[Result]) -> None:
    """A plan has run: these results are there."""
    for each in results:
        each.is_there = True


def _keys(graph: Graph) -> tuple[dict[int, Key], dict[int, Sources]]:
    """Of each buffer that the first calls read or write: how its elements come about, from what."""
    keys: dict[int, Key] = {}
    sources: dict[int, Sources] = {}
    for call in graph.calls[: graph.once]:
        read = [*map(graph.buffer_of, call.reads())]
        for b in read:
            if b not in keys:
                keys[b], sources[b] = _source(graph, b)
        made = _key_of(graph, call, keys)
        behind = {id_: memory for b in read for id_, memory in sources[b].items()}
        for place, b in enumerate(map(graph.buffer_of, call.writes())):
            keys[b], sources[b] = (*made, place, graph.buffers[b].bytes), behind
    return keys, sources


def _source(graph: Graph, buffer: int) -> tuple[Key, Sources]:
    row = graph.buffers[buffer]
    if row.role == "constant" and row.bytes <= _SMALL:
        return (graph.content(buffer),), {}
    memory = graph.memory(buffer)
    return (memory.storage_id, memory.storage_version), {memory.storage_id: memory}


def _key_of(graph: Graph, call: Call, keys: dict[int, Key]) -> Key:
    """A kernel with its numbers, and views of what it reads and writes."""
    written = {*call.writes()}
    args: list[Any] = []
    for arg in call.args:
        if type(arg) is tuple:
            value = graph.values[arg[1]]
            source = None if arg[1] in written else keys[value.buffer]
            args.append((source, *value[1:]))
        else:
            args.append((type(arg), repr(arg)))  # 0 is none of 0.0 and -0.0
    return call.kernel, *args


def _left_out(graph: Graph, there: set[int]) -> list[int]:
    """The first calls whose results are there, or of use only for such."""
    needed: set[int] = set()
    found = []
    for at in range(graph.once - 1, -1, -1):
        call = graph.calls[at]
        written = {*map(graph.buffer_of, call.writes())}
        kept = {b for b in written if graph.buffers[b].role == "kept"}
        if written.isdisjoint(needed) and kept <= there:
            found.append(at)
        else:
            needed.update(b for b in map(graph.buffer_of, call.reads()) if b not in there)
    return found
