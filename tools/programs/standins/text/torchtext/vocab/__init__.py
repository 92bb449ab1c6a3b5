"""Vocabularies, as torchtext made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


class Vocab:
    """Numbers of words."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.numbers = {word: i for i, word in enumerate(words)}
        self.default: int | None = None

    def set_default_index(self, index: int) -> None:
        """The number of unknown words."""
        self.default = index

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, word: str) -> int:
        return self.numbers[word] if self.default is None else self.numbers.get(word, self.default)

    def __call__(self, words: Iterable[str]) -> list[int]:
        """Numbers of words."""
        return [self[word] for word in words]

    def get_stoi(self) -> dict[str, int]:
        """Numbers by word."""
        return self.numbers

    def get_itos(self) -> list[str]:
        """Words by number."""
        return self.words


def build_vocab_from_iterator(rows: Iterable[Any], min_freq: int = 1, specials: Any = (),
                              special_first: bool = True) -> Vocab:  # fmt: skip
    """The words that are frequent enough, most frequent first, after the special ones."""
    counts = Counter(word for row in rows for word in row)
    kept = sorted((w for w, n in counts.items() if n >= min_freq), key=lambda w: (-counts[w], w))
    return Vocab([*specials, *kept])
