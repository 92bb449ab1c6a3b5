"""Patterns of tensor names: numbers in any places, all of a number's values, any text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PARTS: Final = re.compile(r"(\{\}|\{\*\}|\*)")


class Pattern:
    """A name: `{}` stands for a number in it, `{*}` for each number of a run, `*` for anything."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.gathers = "{*}" in text
        pieces = {"{}": r"(\d+)", "{*}": r"(?P<all>[0-9]{1,9})", "*": r"(.*)"}
        self._regex = re.compile(
            "".join(pieces.get(part) or re.escape(part) for part in _PARTS.split(text))
        )
        if not self.gathers:
            self._regex = re.compile(self._regex.pattern.replace("?P<all>", ""))

    def match(self, name: str) -> tuple[tuple[str, ...], int] | None:
        """What `{}` and `*` stand for, in order, and the number of `{*}` (-1 without); or None."""
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        if not self.gathers:
            return found.groups(), -1
        place = found.re.groupindex["all"] - 1
        groups = found.groups()
        return groups[:place] + groups[place + 1 :], int(groups[place])

    def fill(self, parts: tuple[str, ...]) -> str:
        """The name in which `{}` and `*` are `parts`, in order."""
        given = iter(parts)
        return "".join(
            next(given) if part in ("{}", "*") else part for part in _PARTS.split(self.text)
        )


@lru_cache(maxsize=4096)
def pattern(text: str) -> Pattern:
    """The compiled pattern of a text."""
    return Pattern(text)
