"""Long texts as parts that a model takes: lines as they are, longer ones cut between sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

# What ends a sentence, with what closes quotations behind it; scripts without spaces need none.
_END: Final = re.compile(r"""(?:[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|[।॥؟۔]+(?=\s))\s*""")
_SMALL: Final = re.compile(r"[^\W\d_]")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, with the white space behind each; together they are the text.

    A single point before a small letter ends nothing, as in `e.g. this`.
    """
    begin = 0
    for found in _END.finditer(text):
        after = _SMALL.match(text, found.end())
        if found.group().strip() == "." and after and after.group().islower():
            continue
        if found.end() < len(text):
            yield text[begin : found.end()]
            begin = found.end()
    if begin < len(text):
        yield text[begin:]


def parts(text: str, measure: Callable[[str], int], limit: int) -> list[str]:
    """The text in parts of at most `limit` by `measure`, without the white space around them.

    As many sentences as fit make a part; one that is too long is cut between words, and a word
    within.
    """
    whole = text.strip()
    if not whole or measure(whole) <= limit:
        return [whole] if whole else []
    found: list[str] = []
    for piece in _pieces(whole, measure, limit):
        joined = found[-1] + piece if found else piece
        if found and measure(joined.strip()) <= limit:
            found[-1] = joined
        else:
            found.append(piece)
    return [part.strip() for part in found if part.strip()]


def _pieces(text: str, measure: Callable[[str], int], limit: int) -> Iterator[str]:
    for sentence in sentences(text):
        if measure(sentence.strip()) <= limit:
            yield sentence
        else:
            yield from _halves(sentence, measure, limit)


def _halves(text: str, measure: Callable[[str], int], limit: int) -> Iterator[str]:
    """Cut in the middle, at white space if there is some, until each piece fits."""
    if len(text) < 2 or measure(text.strip()) <= limit:
        yield text
        return
    middle = len(text) // 2
    spaces = [found.end() for found in re.finditer(r"\s+", text) if 0 < found.end() < len(text)]
    at = min(spaces, key=lambda place: abs(place - middle)) if spaces else middle
    yield from _halves(text[:at], measure, limit)
    yield from _halves(text[at:], measure, limit)
