"""Hyphens at the ends of lines: whether they are the word's own, or only divide it.

Nothing on a page says which. What follows does: a hyphen before a capital or a digit is a name's or
a number's; prefixes and second parts that English compounds are written with keep theirs
("non-smoker", "long-term"); before words such as "and" it stands for a part that comes later.
Everything else is a word that did not fit its line.
"""

from __future__ import annotations

import re
from typing import Final

# What compounds begin with, and what they end with, where their hyphen is their own.
_FIRST: Final = """
    non self well long short high low pre post co anti multi semi cross full part half one two three
    four five six seven eight nine ten first second third mid all ex quasi pro inter intra so ultra
    middle upper lower left right open closed end on off in out over under early late year month
    week day same time real single double triple large small medium near far free fixed
"""
_SECOND: Final = """
    term based related specific free level up down in out off on to of by dependent independent like
    type treated positive negative income line only wide time year years old day days week weeks
    month months hour end start point fold scale range rate risk effect effects sided sectional
    quality cost paid speed made known being adjusted weighted called owned date house smoker
    smokers high low value values reported linked held driven led alone half cell cells side mail
"""
_SUSPENDED: Final = "and or to und oder bis et ou y o e en of der die das"
_ENDS_DIVIDED: Final = re.compile(r"(?:^|[\s(\[\]/,])(?P<part>[^\W\d_]+)[-\u2010]$")
_ENDS_JOINED: Final = re.compile(r"\w[-\u2010\u2013]$")


def across_lines(text: str, following: str) -> tuple[str, bool]:
    """A text that ends a line as it goes on with the next, and whether a space stands between.

    `following` is the first word of the next line.
    """
    if text.endswith("\u00ad"):
        return text[:-1], False
    if re.search(r"\w/$", text) and re.match(r"\w", following):  # units, alternatives
        return text, False
    word = re.match(r"[^\W\d_]+", following)
    if not _ENDS_JOINED.search(text) or not re.match(r"\w", following):
        return text, True
    if word is None or not word[0].islower():
        return text, False
    if word[0] in _SUSPENDED.split() and word[0] == following.rstrip(",;:)"):
        return text, True
    found = _ENDS_DIVIDED.search(text)
    if found is None or text.endswith("\u2013"):  # of several hyphens, or behind a digit
        return text, False
    part = found["part"]
    own = (
        part.lower() in _FIRST.split()
        or word[0] in _SECOND.split()
        or part.isupper()
        or len(part) < 2
    )
    return (text, False) if own else (text[:-1], False)
