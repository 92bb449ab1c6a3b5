"""Byte-pair encoding in plain Python: the stand-in for `tokenizers` where it is missing."""

from __future__ import annotations

import functools
import re

from tallow.text.merging import WordCache, merge
from tallow.text.unicode_regex import compile_pattern, split
from tallow.text.vocab import Vocab, byte_chars


class PythonBPE:
    """The same ids as Hugging Face's BPE, from the vocabulary and the merges of a `Vocab`."""

    def __init__(self, vocab: Vocab) -> None:
        self._ids = vocab.plain_ids
        self._ranks = dict(zip(vocab.merges, range(len(vocab.merges)), strict=True))
        if len(self._ranks) != len(vocab.merges):
            self._ranks = {}
            for i, pair in enumerate(vocab.merges):
                self._ranks.setdefault(pair, i)
        self._pre = vocab.pre
        self._byte_ids = vocab.byte_ids
        self._cache = WordCache()

    @functools.cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [compile_pattern(pattern) for pattern in self._pre.patterns]

    @functools.cached_property
    def _ascii_patterns(self) -> list[re.Pattern[str]]:
        return [compile_pattern(pattern, ascii_only=True) for pattern in self._pre.patterns]

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        patterns = self._ascii_patterns if text.isascii() else self._patterns
        return self._cache.encode(split(text, patterns), self._encode_word)

    def _encode_word(self, word: str) -> list[int]:
        if self._pre.byte_level:
            chars = byte_chars()
            word = "".join([chars[byte] for byte in word.encode()])
        whole = self._ids.get(word)
        if whole is not None and (self._pre.ignore_merges or len(word) == 1):
            return [whole]
        ids: list[int] = []
        for symbol in merge(list(word), self._rank):
            found = self._ids.get(symbol)
            if found is not None:
                ids.append(found)
            else:
                ids += self._spell(symbol)
        return ids

    def _rank(self, left: str, right: str) -> int | None:
        rank = self._ranks.get(f"{left} {right}")
        return rank if rank is None or left + right in self._ids else None

    def _spell(self, symbol: str) -> list[int]:
        """The byte tokens of a symbol that has no token; bytes without one are dropped."""
        if self._pre.byte_level:
            return []
        byte_ids = [self._byte_ids[byte] for byte in symbol.encode()]
        return [index for index in byte_ids if index is not None]
