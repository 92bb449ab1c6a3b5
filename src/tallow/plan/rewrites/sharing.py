"""What follows from weights alone is one piece of memory for all plans of a function.

Plans of several shapes lay out and transform the same weights. Two results are the same if one
kernel made them of the same weights, constants and numbers: their plans write one buffer, and one
that is made later leaves out what another has written already. Each plan still sees for itself
when a weight is written, and computes all of it anew.
"""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.dtype import u8
from tallow.plan.rewrites.graph import Call, Graph

_SMALL = 65536  # bytes of a constant that is compared by them: plans have copies of such
Key = tuple[Any, ...]


class Shared:
    """Results by how they are made. Only plans that run one after the other may share them."""

    def __init__(self) -> None:
        self._results: dict[Key, _native.Array] = {}
        self._filled: set[Key] = set()
        self._sources: dict[int, _native.Array] = {}  # in use, so that none gets the id of another

    def place(self, graph: Graph) -> tuple[Key, ...]:
        """Give the kept buffers of a plan their memory; what its first run fills is told."""
        keys = self._keys(graph)
        kept = {b: key for b, key in keys.items() if graph.buffers[b].role == "kept"}
        for b, key in kept.items():
            row = graph.buffers[b]
            memory = self._results.get(key)
            if memory is None:
                memory = self._results[key] = _native.Array.empty((row.bytes,), u8.code)
            graph.buffers[b] = row._replace(given=("kept", memory))
        there = {b for b, key in kept.items() if key in self._filled}
        graph.there = _left_out(graph, there)
        return tuple(kept.values())

    def fill(self, keys: tuple[Key, ...]) -> None:
        """A plan has run: these results are there."""
        self._filled.update(keys)

    def _keys(self, graph: Graph) -> dict[int, Key]:
        """Of each buffer that the first calls read or write, how its elements come about."""
        keys: dict[int, Key] = {}
        for call in graph.calls[: graph.once]:
            for b in map(graph.buffer_of, call.reads()):
                if b not in keys:
                    keys[b] = self._source(graph, b)
            made = _key_of(graph, call, keys)
            for place, b in enumerate(map(graph.buffer_of, call.writes())):
                keys[b] = (*made, place, graph.buffers[b].bytes)
        return keys

    def _source(self, graph: Graph, buffer: int) -> Key:
        row = graph.buffers[buffer]
        if row.role == "constant" and row.bytes <= _SMALL:
            return (graph.content(buffer),)
        memory = graph.memory(buffer)
        self._sources[memory.storage_id] = memory
        return memory.storage_id, memory.storage_version


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
