"""Whether what a reader made of a picture is text, or the texture of a photograph."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.documents.content import Word

LEAST_CONFIDENCE = 0.75
"""Mean confidence of words with letters or digits; tables of 72 dpi have 0.97, bricks 0.67."""
LEAST_IN_DRAWN = 0.6
"""The same where rulings or a model speak for a table: tables of 40 dpi have 0.74."""
LEAST_SHARE = 0.2
"""Of words that have letters or digits; a table whose cells are mostly dashes has 0.65."""


def is_legible(words: Sequence[Word], *, seen: bool) -> bool:
    """Whether words are read from text: with letters, and of some confidence.

    `seen` says that not white space alone speaks for a table there.
    """
    lettered = [word.confidence for word in words if any(each.isalnum() for each in word.text)]
    if not lettered or len(lettered) < LEAST_SHARE * len(words):
        return False
    least = LEAST_IN_DRAWN if seen else LEAST_CONFIDENCE
    return sum(lettered) >= least * len(lettered)
