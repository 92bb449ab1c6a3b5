"""Byte-pair encoding in plain Python: the stand-in for `tokenizers` where it is missing."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Final

from tallow import _native
from tallow.text.merging import WordCache, merge
from tallow.text.unicode_regex import compile_pattern, split
from tallow.text.vocab import Vocab, byte_chars, first_places

_MANY: Final = 4096  # characters, from which on dictionaries pay


class PythonBPE:
    """The same ids as Hugging Face's BPE, from the vocabulary and the merges of a `Vocab`."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        # Short texts look their few words up in the file's bytes, where the vocabulary has these.
        # Dictionaries are three times as quick, once they are made.
        self._asked = 0
        self._id: Callable[[str], int | None] = vocab.plain_id
        merges = vocab.merges
        if isinstance(merges, _native.Texts):
            self._number: Callable[[str], int | None] = merges.find
        else:
            self._settle()
        self._pre = vocab.pre
        self._byte_ids = vocab.byte_ids
        self._cache = WordCache()

    @functools.cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [compile_pattern(pattern) for pattern in self._pre.patterns]

    @functools.cached_property
    def _ascii_patterns(self) -> list[re.Pattern[str]]:
        return [compile_pattern(pattern, ascii_only=True) for pattern in self._pre.patterns]

    def _settle(self) -> None:
        self._asked = _MANY
        self._id = self._vocab.plain_ids.get
        self._number = first_places(tuple(self._vocab.merges)).get

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        if self._asked < _MANY:
            self._asked += len(text)
            if self._asked >= _MANY:
                self._settle()
        patterns = self._ascii_patterns if text.isascii() else self._patterns
        return self._cache.encode(split(text, patterns), self._encode_word)

    def _encode_word(self, word: str) -> list[int]:
        if self._pre.byte_level:
            chars = byte_chars()
            word = "".join([chars[byte] for byte in word.encode()])
        whole = self._id(word)
        if whole is not None and (self._pre.ignore_merges or len(word) == 1):
            return [whole]
        ids: list[int] = []
        for symbol in merge(list(word), self._rank):
            found = self._id(symbol)
            if found is not None:
                ids.append(found)
            else:
                ids += self._spell(symbol)
        return ids

    def _rank(self, left: str, right: str) -> int | None:
        rank = self._number(f"{left} {right}")
        return rank if rank is None or self._id(left + right) is not None else None

    def _spell(self, symbol: str) -> list[int]:
        """The byte tokens of a symbol that has no token; bytes without one are dropped."""
        if self._pre.byte_level:
            return []
        byte_ids = [self._byte_ids[byte] for byte in symbol.encode()]
        return [index for index in byte_ids if index is not None]
