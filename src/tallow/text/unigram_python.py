"""The likeliest pieces of a text under a Unigram vocabulary, in plain Python.

Source: Kudo, "Subword Regularization", 2018; the order of ties, the penalty of what is unknown and
the precision are those of `tokenizers` and of SentencePiece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

_PENALTY: Final = 10.0
_FLOAT: Final = struct.Struct("f")


class PieceSearch:
    """Cuts text into pieces so that the sum of their scores is greatest (Viterbi)."""

    def __init__(
        self, scores: Mapping[str, float], unknown_score: float, *, unknown: str = "",
        single: bool = False,
    ) -> None:  # fmt: skip
        """`scores` by piece; the piece `unknown` counts as not known.

        `single` keeps sums in single precision, as SentencePiece does.
        """
        self._unknown_piece = unknown
        self._scores = scores
        self._unknown = unknown_score
        self._single = single
        lengths: dict[str, set[int]] = {}
        for text in scores:
            if text:
                lengths.setdefault(text[0], set()).add(len(text))
        self._lengths = {char: sorted(found) for char, found in lengths.items()}

    def cut(self, text: str) -> list[tuple[str, bool]]:
        """The pieces in order, and whether each is known; neighbours that are not make one."""
        scores, unknown, count = self._scores, self._unknown, len(text)
        best = [0.0] * (count + 1)
        begins = [-1] * (count + 1)
        known = [False] * (count + 1)
        for at, char in enumerate(text):
            here, alone = best[at], False
            for length in self._lengths.get(char, ()):
                end = at + length
                if end > count:
                    break
                score = scores.get(text[at:end])
                if score is None:
                    continue
                alone = alone or length == 1
                score = self._rounded(score + here)
                if begins[end] < 0 or score > best[end]:
                    best[end], begins[end] = score, at
                    known[end] = text[at:end] != self._unknown_piece
            if not alone:
                score = self._rounded(unknown + here)
                if begins[at + 1] < 0 or score > best[at + 1]:
                    best[at + 1], begins[at + 1], known[at + 1] = score, at, False
        return _backwards(text, begins, known)

    def _rounded(self, score: float) -> float:
        if not self._single:
            return score
        value: float = _FLOAT.unpack(_FLOAT.pack(score))[0]
        return value


def _backwards(text: str, begins: list[int], known: list[bool]) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    end = len(text)
    while end:
        start = begins[end]
        piece = text[start:end]
        if not known[end] and found and not found[-1][1]:
            found[-1] = (piece + found[-1][0], False)
        else:
            found.append((piece, known[end]))
        end = start
    return found[::-1]


def lowest(scores: Iterable[float]) -> float:
    """The score of a character that no piece has: a penalty below the lowest."""
    return min(scores, default=0.0) - _PENALTY
