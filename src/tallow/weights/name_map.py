"""NameMap: a table between the names that a file stores and those that a model uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tallow.weights.patterns import pattern

_DIGITS: Final = re.compile(r"\d+")


class NameMap:
    """A two-way table between the names that a file stores and those that a model uses.

    `table` maps stored stems to visible stems; each `{}` stands for the same number on both sides:
    `NameMap({"blk.{}.attn_q": "model.layers.{}.self_attn.q_proj"})` turns `blk.3.attn_q.weight`
    into `model.layers.3.self_attn.q_proj.weight`. A name that the table lacks stays as it is.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._visible = _Direction(table)
        self._stored = _Direction({visible: stored for stored, visible in table.items()})

    def inverse(self) -> NameMap:
        """The same table from visible names to stored ones."""
        made = NameMap({})
        made._visible, made._stored = self._stored, self._visible
        return made

    def extended(self, table: Mapping[str, str]) -> NameMap:
        """A table with further names; one that is here already leads to the new name."""
        return NameMap({**self._visible, **table})

    def moved(self, prefix: str, other: str) -> NameMap:
        """A table whose visible names that begin with `prefix` begin with `other` instead."""
        table = dict(self._visible)
        for stored, visible in table.items():
            if visible.startswith(prefix):
                table[stored] = other + visible.removeprefix(prefix)
        return NameMap(table)

    def __call__(self, stored: str) -> str:
        """The visible name of a stored one."""
        return _translate(stored, self._visible)

    def stored(self, visible: str) -> str:
        """The stored name of a visible one."""
        return _translate(visible, self._stored)


class _Direction(dict[str, str]):
    """A table in which a name whose numbers are all `{}` is found without a pattern.

    `plain` says that no key has a digit or a `*`: then no other key can match such a name.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        super().__init__(table)
        self.plain = not any(_DIGITS.search(key) or "*" in key for key in table)


def _translate(name: str, table: _Direction) -> str:
    stem, dot, last = name.rpartition(".")
    if table.plain:
        target = table.get(_DIGITS.sub("{}", stem))
        if target is not None and "*" not in target:
            return f"{pattern(target).fill(tuple(_DIGITS.findall(stem)))}{dot}{last}"
    for source, target in table.items():
        found = pattern(source).match(stem)
        if found is not None:
            return f"{pattern(target).fill(found[0])}{dot}{last}"
    return name
