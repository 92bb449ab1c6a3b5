"""SentencePiece's byte-pair search in plain Python: the piece of best score is joined first.

Source: Kudo and Richardson, "SentencePiece", 2018; the order of ties is that of its `bpe_model`.
"""

from __future__ import annotations

import re
from typing import Final

from tallow.text.merging import WordCache, merge
from tallow.text.vocab import NORMAL, SPACE_MARK, UNUSED, USER_DEFINED, Vocab

_MARK: Final = SPACE_MARK


class PythonSPM:
    """Ids by merging neighbours into pieces of the vocabulary, unknown characters become bytes."""

    def __init__(self, vocab: Vocab) -> None:
        self._ids = vocab.plain_ids
        self._scores = vocab.scores
        self._byte_ids = vocab.byte_ids
        self._unk = vocab.find_special("unk")
        whole = crosses_words(vocab)
        self._words = re.compile("(?s:.+)" if whole else f"{_MARK}+[^{_MARK}]*|[^{_MARK}]+")
        self._cache = WordCache()

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text` whose spaces are written `▁`."""
        return self._cache.encode(self._words.findall(text), self._encode_word)

    def _encode_word(self, word: str) -> list[int]:
        ids: list[int] = []
        for symbol in merge(list(word), self._rank):
            found = self._ids.get(symbol)
            if found is not None:
                ids.append(found)
            else:
                ids += self._spell(symbol)
        return ids

    def _rank(self, left: str, right: str) -> float | None:
        index = self._ids.get(left + right)
        return None if index is None else -self._scores[index]

    def _spell(self, symbol: str) -> list[int]:
        """The byte tokens of an unknown character, or the unknown token where one is missing."""
        byte_ids = [self._byte_ids[byte] for byte in symbol.encode()]
        known = [index for index in byte_ids if index is not None]
        if len(known) == len(byte_ids):
            return known
        return [] if self._unk is None else [self._unk]


def crosses_words(vocab: Vocab) -> bool:
    """Whether a piece has a `▁` after another character, so that words need their neighbours."""
    texts = (
        text
        for text, kind in zip(vocab.tokens, vocab.kinds, strict=False)
        if kind in (NORMAL, UNUSED, USER_DEFINED)
    )
    return re.search(f"[^{_MARK}\0]{_MARK}", "\0".join(texts)) is not None
