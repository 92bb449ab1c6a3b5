"""Vocabularies of RWKV: at each place of a text the longest token, by bytes.

Source: the World tokenizer of RWKV (https://github.com/BlinkDL/ChatRWKV), whose search is a trie,
and llama.cpp's vocabularies of the kind `rwkv`. Their tokens are bytes; files hold them as Python
writes them, with escapes.
"""

from __future__ import annotations

import re
from typing import Final

from tallow.text.vocab import NORMAL, USER_DEFINED, Vocab, encode_utf8, unescaped

_NO_MARK: Final = re.compile(r"^b?['\"]|['\"]$")


def escaped(raw: bytes) -> str:
    """Bytes as files hold them: printable ASCII, and escapes for the rest."""
    return _NO_MARK.sub("", repr(raw))


class TrieModel:
    """The longest token at each place; a byte that begins none is the unknown token, if any.

    Control tokens and what is unused are none of a text; llama.cpp finds those, too.
    """

    def __init__(self, vocab: Vocab) -> None:
        kept = (NORMAL, USER_DEFINED)
        self._ids = {
            raw: index
            for index, (text, kind) in enumerate(zip(vocab.tokens, vocab.kinds, strict=False))
            if kind in kept and (raw := unescaped(text))
        }
        lengths: dict[bytes, set[int]] = {}
        for raw in self._ids:
            lengths.setdefault(raw[:2], set()).add(len(raw))
        self._lengths = {head: sorted(found, reverse=True) for head, found in lengths.items()}
        self._unknown = vocab.find_special("unk")

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        raw, at, ids = encode_utf8(text), 0, []
        while at < len(raw):
            count, index = self._longest(raw, at)
            if index is not None:
                ids.append(index)
            at += count
        return ids

    def _longest(self, raw: bytes, at: int) -> tuple[int, int | None]:
        """How many bytes the token at a place has, and which it is."""
        for head in (raw[at : at + 2], raw[at : at + 1]):
            for count in self._lengths.get(head, ()):
                index = self._ids.get(raw[at : at + count])
                if index is not None:
                    return min(count, len(raw) - at), index
        return 1, self._unknown
