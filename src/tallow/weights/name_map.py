"""NameMap: a table between the names that a file stores and those that a model uses."""

from __future__ import annotations

from collections.abc import Mapping

from tallow.weights.patterns import pattern


class NameMap:
    """A two-way table between the names that a file stores and those that a model uses.

    `table` maps stored stems to visible stems; each `{}` stands for the same number on both sides:
    `NameMap({"blk.{}.attn_q": "model.layers.{}.self_attn.q_proj"})` turns `blk.3.attn_q.weight`
    into `model.layers.3.self_attn.q_proj.weight`. A name that the table lacks stays as it is.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._visible = dict(table)
        self._stored = {visible: stored for stored, visible in table.items()}

    def __call__(self, stored: str) -> str:
        """The visible name of a stored one."""
        return _translate(stored, self._visible)

    def stored(self, visible: str) -> str:
        """The stored name of a visible one."""
        return _translate(visible, self._stored)


def _translate(name: str, table: Mapping[str, str]) -> str:
    stem, dot, last = name.rpartition(".")
    for source, target in table.items():
        found = pattern(source).match(stem)
        if found is not None:
            return f"{pattern(target).fill(found[0])}{dot}{last}"
    return name
