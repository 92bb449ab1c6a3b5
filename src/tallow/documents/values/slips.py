"""Slips of readers in columns of numbers: O for 0, l for 1, a space beside a mark."""

from __future__ import annotations

import re
from typing import Final

from tallow.documents.values.numbers import same_marks

# What readers of print confuse with a digit; S, B and Z are too often letters of codes.
_LIKE_DIGITS: Final = str.maketrans("OolI|", "00111")
_MOST_SLIPS: Final = 2
_FORM: Final = re.compile(r"[-+(]?\s*[\dOolI|][\dOolI|.,' ]*\)?%?")


def repaired(text: str) -> str | None:
    """`text` as the number that it was probably printed as; None where it is none of these slips.

    At least half of its characters are digits, and at most two are replaced.
    """
    text = same_marks(text)
    if not _FORM.fullmatch(text) or len(text) > 20:
        return None
    made = re.sub(r"(?<=\d) +(?=[.,])|(?<=[.,]) +(?=\d)", "", text.translate(_LIKE_DIGITS))
    slips = sum(a != b for a, b in zip(text, text.translate(_LIKE_DIGITS), strict=True))
    digits = sum(char.isdigit() for char in text)
    if made == text or slips > _MOST_SLIPS or 2 * digits < len(text):
        return None
    return made
