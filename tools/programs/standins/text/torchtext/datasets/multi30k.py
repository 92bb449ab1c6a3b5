"""Pairs of made-up sentences in place of Multi30k."""

from __future__ import annotations

import random

URL: dict[str, str] = {}


class Multi30k(list[tuple[str, str]]):
    """Pairs of sentences; the second one has the first one's words backwards."""

    def __init__(self, split: str = "train", language_pair: tuple[str, str] = ("de", "en")) -> None:
        source = random.Random(split)
        words = [a + b for a in "bdfgklmnprst" for b in ("a", "el", "in", "or")]
        for _ in range(96 if split == "train" else 16):
            chosen = source.choices(words, k=source.randint(4, 9))
            self.append((" ".join(chosen), " ".join(chosen[::-1])))
