"""Names while a graph is imported: every value gets one of its own in the whole model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tallow.formats.onnx import Graph

_LONGEST: Final = 200  # characters of a name, and of a prefix, where names are made of them


class Names:
    """The names that values have in a model; those that are taken get a prefix."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def take(self, name: str, prefix: str, *, always: bool) -> str:
        """The name itself if it is free, else, or `always`, one with the prefix."""
        if not always and name not in self._taken:
            self._taken.add(name)
            return name
        made = wanted = prefix + name[-_LONGEST:]
        while made in self._taken:
            count = self._counts[wanted] = self._counts.get(wanted, 1) + 1
            made = f"{wanted}.{count}"
        self._taken.add(made)
        return made


class Scope:
    """What the values of a graph or a function are called; '' is one that a call leaves out.

    A sub-graph sees what is around it, a function its inputs only. `attributes` are what a call
    gives a function, None outside of functions.
    """

    __slots__ = ("attributes", "names", "opsets", "outer", "prefix")

    def __init__(
        self, outer: Scope | None, prefix: str, opsets: Mapping[str, int],
        attributes: Mapping[str, Any] | None,
    ) -> None:  # fmt: skip
        self.outer, self.opsets, self.attributes = outer, opsets, attributes
        self.prefix = prefix[-_LONGEST:]
        self.names: dict[str, str] = {}

    def find(self, name: str) -> str | None:
        """What a value is called in the whole model, None where nothing defines it."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def inside(self, called: str) -> Scope:
        """The scope of a sub-graph of the node of that name."""
        return Scope(self, f"{self.prefix}{called}/", self.opsets, self.attributes)


class Closure:
    """A sub-graph that a call gives a function as an attribute: its names are the caller's."""

    __slots__ = ("graph", "scope")

    def __init__(self, graph: Graph, scope: Scope) -> None:
        self.graph, self.scope = graph, scope
