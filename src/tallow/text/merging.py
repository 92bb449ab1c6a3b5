"""What BPE and SentencePiece share: the ids of known words, neighbours merged by rank."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final

_CACHED_WORDS: Final = 20_000
_CACHED_LENGTH: Final = 64


class WordCache:
    """Ids of words, of which the short ones are remembered."""

    def __init__(self) -> None:
        self._known: dict[str, list[int]] = {}

    def encode(self, words: Iterable[str], one: Callable[[str], list[int]]) -> list[int]:
        """The ids of all words, one after the other; `one(word)` gives those of a new word."""
        ids: list[int] = []
        known = self._known
        for word in words:
            found = known.get(word)
            if found is None:
                found = one(word)
                if len(word) <= _CACHED_LENGTH:
                    if len(known) >= _CACHED_WORDS:
                        known.clear()
                    known[word] = found
            ids += found
        return ids


def merge(symbols: list[str], rank: Callable[[str, str], float | None]) -> list[str]:
    """Join the neighbours of lowest rank, leftmost first, until no pair has a rank.

    `rank(left, right)` is None for a pair that may not be joined. Takes time n log n in the number
    of symbols, so a word of a million letters does no harm.
    """
    count = len(symbols)
    if count < 2:
        return symbols
    parts: list[str] = list(symbols)
    after = list(range(1, count + 1))
    before = list(range(-1, count - 1))
    queue: list[tuple[float, int, str, str]] = []
    for i in range(count - 1):
        value = rank(parts[i], parts[i + 1])
        if value is not None:
            queue.append((value, i, parts[i], parts[i + 1]))
    heapq.heapify(queue)
    while queue:
        _, i, left, right = heapq.heappop(queue)
        j = after[i]
        # An entry is stale once either side was merged: its text differs, or it is gone ("").
        if j >= count or parts[i] != left or parts[j] != right:
            continue
        parts[i] = left + right
        parts[j] = ""
        k = after[i] = after[j]
        if k < count:
            before[k] = i
            value = rank(parts[i], parts[k])
            if value is not None:
                heapq.heappush(queue, (value, i, parts[i], parts[k]))
        h = before[i]
        if h >= 0:
            value = rank(parts[h], parts[i])
            if value is not None:
                heapq.heappush(queue, (value, h, parts[h], parts[i]))
    return [part for part in parts if part]
