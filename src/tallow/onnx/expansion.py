"""How many nodes a model comes to when its functions are inlined: told before any is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tallow.errors import FormatError
from tallow.formats.mapping import shown
from tallow.formats.onnx import Function, Graph, Node
from tallow.onnx.ordering import graphs_of

MAX_DEPTH: Final = 64  # functions and sub-graphs in one another
_MOST_NODES: Final = 1 << 16  # that functions may come to, and a multiple of those in the file
_MULTIPLE: Final = 16

Key = tuple[str, str, str]


def key_of(node: Node) -> Key:
    """By what a node finds the function that it calls."""
    return (node.domain, node.op_type, node.overload)


class Expansion:
    """Counts nodes: each function once, however often it is called."""

    def __init__(self, path: str, functions: Mapping[Key, Function]) -> None:
        self._path, self._functions = path, functions
        self._known: dict[Key, tuple[int, int]] = {}
        self._calling: list[Key] = []
        self._stored = 0

    def check(self, graph: Graph) -> None:
        """Refuse functions that call themselves, and graphs too deep or too large.

        Raises:
            FormatError: see above.
        """
        count, _ = self._nodes(graph.nodes, 0)
        most = _MOST_NODES + _MULTIPLE * self._stored
        if count > most:
            raise FormatError(self._path, "functions", f"calls of at most {most} nodes", count)

    def _nodes(self, nodes: Iterable[Node], depth: int) -> tuple[int, int]:
        """The nodes that some come to, and how deep functions and sub-graphs in them are."""
        if depth > MAX_DEPTH:
            raise self._too_deep()
        count = height = 0
        for node in nodes:
            self._stored += 1
            count += 1
            for graph in graphs_of(node):
                more, deep = self._nodes(graph.nodes, depth + 1)
                count, height = count + more, max(height, deep + 1)
            if (key := key_of(node)) in self._functions:
                more, deep = self._function(key, depth + 1)
                count, height = count + more, max(height, deep + 1)
        return count, height

    def _function(self, key: Key, depth: int) -> tuple[int, int]:
        if key in self._calling:
            names = [shown(name) for _, name, _ in self._calling[self._calling.index(key) :]]
            path = " → ".join([*names[:8], shown(key[1])])
            raise FormatError(self._path, "functions", "none that calls itself", path)
        known = self._known.get(key)
        if known is None:
            self._calling.append(key)
            known = self._known[key] = self._nodes(self._functions[key].nodes, depth)
            self._calling.pop()
        if depth + known[1] > MAX_DEPTH:
            raise self._too_deep()
        return known

    def _too_deep(self) -> FormatError:
        wanted = f"at most {MAX_DEPTH} functions and sub-graphs in one another"
        return FormatError(self._path, "functions", wanted, "more")
