"""From text to ids around a `Model`: special and added tokens, the first space, bos and eos."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Protocol

from tallow.errors import MissingExtraError
from tallow.text.added_tokens import AddedTokens
from tallow.text.rows import Template, TokenizedText, affixed
from tallow.text.vocab import CONTROL, SPACE_MARK, UNKNOWN, USER_DEFINED, Model, Vocab, clean


class Encoder(Protocol):
    """What a `Tokenizer` asks of an engine."""

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        ...

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; a special token that holds a mark is plain text."""
        ...

    @property
    def template(self) -> Template:
        """Which special tokens stand around one text and around a pair."""
        ...

    def pieces(
        self, texts: Sequence[str | list[str]], *, spans: bool, split: bool
    ) -> list[TokenizedText]:
        """Each text's ids without the template's; control tokens in it count.

        `split` says that each text is a list of words; `spans` asks for spans and words.
        """
        ...


def pieces_of(
    encoder: Encoder, texts: Sequence[str | list[str]], *, spans: bool, split: bool
) -> list[TokenizedText]:
    """The ids of texts, or of lists of words, without spans; MissingExtraError as above."""
    if spans:
        raise MissingExtraError(
            "return_offsets: needs the package tokenizers: pip install 'tallow[text]'"
        )
    if not split:
        return [TokenizedText(encoder.encode(str(text), False, True)) for text in texts]
    found = []
    for words in texts:
        parts = [encoder.encode(word, False, True) for word in words]
        numbers: list[int | None] = [i for i, part in enumerate(parts) for _ in part]
        found.append(TokenizedText([index for part in parts for index in part], None, numbers))
    return found


class VocabEncoder:
    """Cuts the special tokens out of a text and gives the pieces between them to `model`.

    Control tokens never reach the model's vocabulary, so text cannot spell one by accident or by
    intent.
    """

    def __init__(self, vocab: Vocab, model: Model, template: Template | None = None) -> None:
        """Without a `template` it is what `vocab` puts before and after a text."""
        self._vocab = vocab
        self._model = model
        self.template = template or affixed(vocab.prefix_ids, vocab.suffix_ids)

    @functools.cached_property
    def _plain(self) -> AddedTokens:
        return self._added(USER_DEFINED)

    @functools.cached_property
    def _special(self) -> AddedTokens:
        return self._added(USER_DEFINED, CONTROL, UNKNOWN)

    def _added(self, *kinds: int) -> AddedTokens:
        vocab = self._vocab
        return AddedTokens(
            vocab.added(*kinds),
            strips_before=vocab.strips_before,
            strips_after=vocab.strips_after,
        )

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        vocab = self._vocab
        pieces = (self._special if parse_special else self._plain).split(self._normalized(text))
        ids = list(vocab.prefix_ids) if add_special else []
        ids += self._encode_pieces(pieces)
        if add_special:
            ids += vocab.suffix_ids
        return ids

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; a special token that holds a mark is plain text."""
        pieces: list[str | int] = []
        for piece in self._special.split(self._normalized(text)):
            if isinstance(piece, int):
                pieces.append(piece)
            else:
                pieces += self._plain.split(piece.replace(mark, ""))
        return self._encode_pieces(pieces)

    def pieces(
        self, texts: Sequence[str | list[str]], *, spans: bool, split: bool
    ) -> list[TokenizedText]:
        """Each text's ids; see `Encoder.pieces`.

        Raises:
            MissingExtraError: spans are asked for, which only the package `tokenizers` knows.
        """
        return pieces_of(self, texts, spans=spans, split=split)

    def _normalized(self, text: str) -> str:
        if text.isascii():
            return text
        text = clean(text)
        return unicodedata.normalize("NFC", text) if self._vocab.nfc else text

    def _encode_pieces(self, pieces: Iterable[str | int]) -> list[int]:
        ids: list[int] = []
        after_token = True
        for piece in pieces:
            if isinstance(piece, int):
                ids.append(piece)
                after_token = True
            else:
                ids += self._model.encode(self._spaced(piece, after_token))
                after_token = False
        return ids

    def _spaced(self, text: str, after_token: bool) -> str:
        """Spaces as the vocabulary spells them, where a model does not do so itself."""
        vocab = self._vocab
        if vocab.algorithm == "spm":
            if vocab.remove_extra_whitespaces:
                text = re.sub(" {2,}", " ", text.strip(" "))
            if vocab.add_space_prefix and after_token:
                text = " " + text
            return text.replace(" ", SPACE_MARK)
        if vocab.algorithm == "bpe" and not vocab.pre.byte_level:
            return text.replace(" ", SPACE_MARK)
        return text
