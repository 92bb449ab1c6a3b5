r"""Regular expressions of RE2, for whether a text matches from end to end.

A pattern becomes a nondeterministic automaton; the set of its states is moved on by one character
after another, so that time is linear in the text, whatever the pattern. Unlike RE2 it has no
scripts (`\p{Greek}`: Python's Unicode tables know none) and no bytes (`\C`); both are refused.
"""

from __future__ import annotations

from typing import Final

from tallow.errors import ArgumentError
from tallow.onnx.re2_classes import holds, is_word
from tallow.onnx.re2_parsing import Node, parsed

_MOST_STATES: Final = 1 << 16
_MOST_KEPT: Final = 1 << 12  # moves from sets of states that are kept


class Pattern:
    """A compiled pattern.

    A state takes a character (`_takes`) and goes on at `_next`, or leads to others without one
    (`_edges`), some of them only between certain characters (`_tests`).
    """

    def __init__(self, source: str) -> None:
        self._takes: list[Node | None] = []
        self._next: list[int] = []
        self._edges: list[list[int]] = []
        self._tests: list[str] = []
        self._source = source
        self._end = self._state()
        self._start = self._compiled(parsed(source), self._end)
        self._kept: dict[tuple[frozenset[int], str, str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        """Whether all of the text matches."""
        states, before = frozenset((self._start,)), ""
        for char in text:
            key = (states, before, char)
            after = self._kept.get(key)
            if after is None:
                if len(self._kept) > _MOST_KEPT:
                    self._kept.clear()
                after = self._kept[key] = self._after(states, before, char)
            if not after:
                return False
            states, before = after, char
        return self._end in self._reached(states, before, "")

    def _after(self, states: frozenset[int], before: str, char: str) -> frozenset[int]:
        """The states behind a character; `before` is the one in front of it."""
        found = []
        for state in self._reached(states, before, char):
            takes = self._takes[state]
            if takes is not None and holds(takes.runs, takes.folded, char):
                found.append(self._next[state])
        return frozenset(found)

    def _reached(self, states: frozenset[int], before: str, char: str) -> set[int]:
        """These states, and those that are reached between two characters."""
        found, waiting = set(states), [*states]
        while waiting:
            state = waiting.pop()
            if self._edges[state] and _stands(self._tests[state], before, char):
                fresh = [other for other in self._edges[state] if other not in found]
                found.update(fresh)
                waiting += fresh
        return found

    # --- compiling --------------------------------------------------------------------------------

    def _state(self, *edges: int, test: str = "") -> int:
        if len(self._edges) >= _MOST_STATES:
            raise ArgumentError(f"RegexFullMatch: expected a smaller pattern, got {self._source!r}")
        self._takes.append(None)
        self._next.append(-1)
        self._edges.append([*edges])
        self._tests.append(test)
        return len(self._edges) - 1

    def _compiled(self, node: Node, then: int) -> int:
        """The state at which a node begins that goes on at `then`."""
        if node.kind == "chars":
            made = self._state()
            self._takes[made], self._next[made] = node, then
            return made
        if node.kind == "cat":
            for part in reversed(node.parts):
                then = self._compiled(part, then)
            return then
        if node.kind == "alt":
            return self._state(*(self._compiled(part, then) for part in node.parts))
        if node.kind == "repeat":
            return self._repeated(node, then)
        return self._state(then, test=node.kind)

    def _repeated(self, node: Node, then: int) -> int:
        [part] = node.parts
        if node.most < 0:
            loop = self._state(then)
            self._edges[loop].append(self._compiled(part, loop))
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._state(self._compiled(part, then), end)
        for _ in range(node.least):
            then = self._compiled(part, then)
        return then


def _stands(test: str, before: str, char: str) -> bool:
    """Whether an assertion holds between two characters, '' beyond the ends."""
    if test in ("word", "not word"):
        return (is_word(before) != is_word(char)) == (test == "word")
    side = before if test.startswith("begin") else char
    return not test or not side or (test.endswith("line") and side == "\n")
