"""SentencePiece in plain Python: text to pieces and back by unigram and BPE models.

Source: sentencepiece's `normalizer.cc`, `unigram_model.cc`, `bpe_model.cc` and
`sentencepiece_processor.cc`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from tallow.errors import ModelError
from tallow.formats.sentencepiece import (
    BYTE,
    CONTROL,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    SentencePieceModel,
)
from tallow.text.charsmap import CharsMap
from tallow.text.merging import merge
from tallow.text.unigram_python import PieceSearch, lowest
from tallow.text.vocab import SPACE_MARK, encode_utf8

_MARK: Final = SPACE_MARK


def _unigram(model: SentencePieceModel) -> PieceSearch:
    normal = [s for s, k in zip(model.scores, model.kinds, strict=True) if k == NORMAL]
    highest = max(normal, default=0.0)
    scores = {model.pieces[index]: model.scores[index] for index in model.of_kind(NORMAL)}
    own = [model.pieces[index] for index in model.of_kind(USER_DEFINED)]
    # What the user defined is never cut: it is better than any pieces of its length.
    scores |= {text: len(encode_utf8(text)) * highest - 0.1 for text in own}
    return PieceSearch(scores, lowest(normal), single=True)


class PairSearch:
    """Joins neighbours into the piece of best score, until none is left."""

    def __init__(self, model: SentencePieceModel) -> None:
        known = model.of_kind(NORMAL, USER_DEFINED, UNUSED)
        self._scores = {model.pieces[index]: model.scores[index] for index in known}
        self._unused = {model.pieces[index] for index in model.of_kind(UNUSED)}
        own = sorted((model.pieces[i] for i in model.of_kind(USER_DEFINED)), key=len, reverse=True)
        self._own = re.compile("(" + "|".join(map(re.escape, own)) + ")") if own else None

    def cut(self, text: str) -> list[tuple[str, bool]]:
        """The pieces in order, and whether each is known; neighbours that are not make one."""
        found: list[tuple[str, bool]] = []
        for i, part in enumerate(self._own.split(text) if self._own is not None else [text]):
            symbols = [part] if i % 2 else self._merged(part)
            for piece in symbols:
                known = piece in self._scores
                if not known and found and not found[-1][1]:
                    found[-1] = (found[-1][0] + piece, False)
                elif piece:
                    found.append((piece, known))
        return found

    def _merged(self, text: str) -> list[str]:
        if not self._unused:
            return merge(list(text), self._rank)
        joined: dict[str, tuple[str, str]] = {}

        def rank(left: str, right: str) -> float | None:
            if left + right in self._unused:
                joined.setdefault(left + right, (left, right))
            return self._rank(left, right)

        def used(piece: str) -> list[str]:
            parts = joined.get(piece) if piece in self._unused else None
            return [piece] if parts is None else [*used(parts[0]), *used(parts[1])]

        return [each for piece in merge(list(text), rank) for each in used(piece)]

    def _rank(self, left: str, right: str) -> float | None:
        score = self._scores.get(left + right)
        return None if score is None else -score


class SentencePieceText:
    """Text to pieces and back by a model.

    Raises:
        ModelError: the model is of another algorithm.
    """

    def __init__(self, model: SentencePieceModel) -> None:
        if model.algorithm not in ("unigram", "bpe"):
            wanted = "a unigram or BPE model"
            raise ModelError(f"{model.path}: expected {wanted}, got {model.algorithm}")
        self.model = model
        self.ids = {text: index for index, text in enumerate(model.pieces)}
        self._map = CharsMap(model.normalizer.charsmap)
        own = [model.pieces[index] for index in model.of_kind(USER_DEFINED)]
        search = _unigram if model.algorithm == "unigram" else PairSearch
        self._search: PieceSearch | PairSearch = search(model)
        longest = sorted(own, key=len, reverse=True)
        self._own = re.compile("|".join(map(re.escape, longest))) if own else None

    def normalize(self, text: str) -> str:
        """`text` with characters replaced and spaces as the model wants them."""
        rules = self.model.normalizer
        removes = rules.remove_extra_whitespaces
        mark = _MARK if rules.escape_whitespaces else " "
        parts = list(self._replaced(text))
        while removes and parts and parts[0] == " ":
            del parts[0]
        if not parts:
            return ""
        suffix = self.model.space_as_suffix
        found = [mark] if rules.add_dummy_prefix and not suffix else []
        space = removes
        for part in parts:
            part = part.lstrip(" ") if space else part
            if part:
                found.append(part.replace(" ", mark))
                space = part.endswith(" ") and removes
        joined = "".join(found)
        if removes:  # also a mark that the text itself has
            joined = joined.rstrip(mark)
        return joined + mark if rules.add_dummy_prefix and suffix else joined

    def _replaced(self, text: str) -> Iterable[str]:
        at = 0
        while at < len(text):
            own = self._own.match(text, at) if self._own is not None else None
            if own:
                yield own.group()
                at = own.end()
                continue
            length, new = self._at(text[at : at + _WINDOW])
            yield new
            at += length

    @functools.lru_cache(maxsize=4096)  # noqa: B019 (a model lives as long as its tokenizer)
    def _at(self, text: str) -> tuple[int, str]:
        """How many first characters of `text` are replaced, and by what."""
        raw = encode_utf8(text)
        matches = list(self._map.matches(raw))
        if not matches:
            return 1, text[0]
        length, new = matches[-1]
        return len(raw[:length].decode("utf-8", "replace")), new.decode("utf-8", "replace")

    def pieces(self, text: str) -> list[str]:
        """The pieces of `text`; an unknown one is spelled as the text has it."""
        found = []
        for piece, known in self._search.cut(self.normalize(text)):
            if known or not self.model.byte_fallback:
                found.append(piece)
            else:
                found += [f"<0x{byte:02X}>" for byte in encode_utf8(piece)]
        return found

    def decode(self, pieces: Iterable[str]) -> str:
        """The text of pieces."""
        model, rules = self.model, self.model.normalizer
        strips = rules.add_dummy_prefix or rules.remove_extra_whitespaces
        raw, first = bytearray(), True
        for piece in pieces:
            index = self.ids.get(piece)
            kind = NORMAL if index is None else model.kinds[index]
            if kind == CONTROL:
                continue
            if kind == BYTE:
                raw.append(int(piece[3:5], 16))
                first = False
                continue
            if index == model.unk_id:
                raw += encode_utf8(model.unk_surface)
                first = False
                continue
            if first and strips and piece.startswith(_MARK):
                piece = piece.lstrip(_MARK) if rules.remove_extra_whitespaces else piece[1:]
                first = not piece and rules.remove_extra_whitespaces
            else:
                first = False
            raw += encode_utf8(piece.replace(_MARK, " "))
        return raw.decode("utf-8", "replace")


_WINDOW: Final = 16  # characters; no text of a map is longer
