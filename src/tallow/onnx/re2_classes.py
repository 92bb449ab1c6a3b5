"""Classes of characters in RE2's patterns, as runs of code points."""

from __future__ import annotations

import functools
import unicodedata
from bisect import bisect_right
from typing import Final

from tallow.text.table_patterns import Runs, joined

LAST: Final = 0x10FFFF


def of_text(text: str) -> Runs:
    """A class written as pairs of first and last characters."""
    return joined((ord(a), ord(b)) for a, b in zip(text[::2], text[1::2], strict=True))


DIGIT: Final = of_text("09")
SPACE: Final = of_text("\t\n\f\r  ")
WORD: Final = of_text("09AZ__az")
ANY: Final = ((0, LAST),)
POSIX: Final = {
    "alnum": of_text("09AZaz"), "alpha": of_text("AZaz"), "ascii": of_text("\0\x7f"),
    "blank": of_text("\t\t  "), "cntrl": of_text("\0\x1f\x7f\x7f"), "digit": DIGIT,
    "graph": of_text("!~"), "lower": of_text("az"), "print": of_text(" ~"),
    "punct": of_text("!/:@[`{~"), "space": of_text("\t\r  "), "upper": of_text("AZ"),
    "word": WORD, "xdigit": of_text("09AFaf"),
}  # fmt: skip


@functools.cache
def category(name: str) -> Runs | None:
    """The class of a general category such as L or Lu, None where there is none of that name."""
    if name == "Any":
        return ANY
    runs: list[tuple[int, int]] = []
    if 1 <= len(name) <= 2:
        kinds = map(unicodedata.category, map(chr, range(LAST + 1)))
        runs = [(i, i) for i, kind in enumerate(kinds) if kind.startswith(name)]
    return joined(runs) or None


@functools.cache
def _orbits() -> dict[str, str]:
    """For a character with other cases: all characters that differ from it in nothing else."""
    groups: dict[str, set[str]] = {}
    for char in map(chr, range(0x1E944)):
        lower = char.lower()
        for other in (lower, char.upper(), lower.upper()):
            if len(other) == len(lower) == 1 and other != char:
                groups.setdefault(lower.upper().lower(), set()).update((char, other, lower))
    return {char: "".join(group) for group in groups.values() for char in group}


def holds(runs: Runs, folded: bool, char: str) -> bool:
    """Whether a class has a character; `folded`: or one that differs in its case."""
    if folded:
        return any(holds(runs, False, each) for each in _orbits().get(char, char))
    at = bisect_right(runs, (ord(char), LAST + 1)) - 1
    return at >= 0 and runs[at][0] <= ord(char) <= runs[at][1]


def is_word(char: str) -> bool:
    """Whether a character counts for a word's border; '' does not."""
    return char != "" and holds(WORD, False, char)


def with_cases(runs: Runs) -> Runs:
    """A class with the characters that differ from its own in their case."""
    more = [
        (ord(other), ord(other))
        for char, group in _orbits().items()
        if holds(runs, False, char)
        for other in group
    ]
    return joined([*runs, *more])
