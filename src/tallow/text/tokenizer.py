"""`Tokenizer`: text to ids and back, from GGUF metadata or from a Hugging Face folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from operator import index as int_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tallow.errors import ArgumentError, DTypeError, MissingExtraError, expect
from tallow.text import hf
from tallow.text.added_tokens import AddedTokens
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.gguf_vocab import read_vocab
from tallow.text.vocab import CONTROL, UNKNOWN, Model, Vocab

if TYPE_CHECKING:
    from tallow.text.batching import Batcher, Encodings, Padding, Text, Truncation

Engine = Literal["auto", "hf", "python"]

_ENGINES: Final = ("auto", "hf", "python")
_QUICK_LENGTH: Final = 20_000  # characters


class Tokenizer:
    """Turns text into token ids and ids into text; made by `from_gguf` or `from_folder`.

    Safe to share between threads.
    """

    def __init__(self, vocab: Vocab, encoder: Encoder) -> None:
        self._vocab = vocab
        self._encoder = encoder
        self._pieces: dict[int, bytes] = {}
        self._special = frozenset(
            index for index, kind in vocab.marked if kind in (CONTROL, UNKNOWN)
        )

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any], *, engine: Engine = "auto") -> Tokenizer:
        """The tokenizer that a GGUF file's metadata describes (`tokenizer.ggml.*`).

        `engine` is `hf` (the package `tokenizers`), `python` (the stand-in), or `auto`: the
        stand-in for SentencePiece, where it is the faster one, and for short ASCII text;
        `tokenizers` for the rest, or where it is not installed the stand-in.

        Raises:
            ModelError: no vocabulary, or an unknown kind; the text lists the known ones.
            MissingExtraError: `engine` is `hf`, and `tokenizers` is not installed.
        """
        vocab = read_vocab(metadata)
        return cls(vocab, VocabEncoder(vocab, _model(vocab, _checked(engine))))

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str], *, engine: Engine = "auto") -> Tokenizer:
        """The tokenizer of a Hugging Face folder: tokenizer.json and the configs beside it.

        The path of a file is that of a tokenizer.json alone, whatever its name.

        Raises:
            ModelError: no tokenizer.json, or one of an unknown kind.
            FormatError: a file is damaged.
            MissingExtraError: it needs `tokenizers`, which is not installed.
        """
        from tallow.text.folder import read_folder

        return cls(*read_folder(Path(path), _checked(engine)))

    def encode(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The ids of `text`.

        `add_special` adds the model's bos and eos where it wants them. `parse_special` takes
        control tokens that are written in the text, such as `<|im_end|>`, for what they say; leave
        it False for text of unknown origin, which then cannot forge one. A lone surrogate becomes
        U+FFFD.

        Raises:
            DTypeError: no string.
        """
        if not isinstance(text, str):
            raise DTypeError(f"encode: expected a string, got {type(text).__name__}")
        return self._encoder.encode(text, add_special, parse_special)

    def encode_prompt(self, text: str, mark: str, *, first: bool = True) -> list[int]:
        """The ids of a rendered chat; control tokens count unless `break_special` broke them.

        bos comes first where a GGUF file wants it, unless the text begins with it, or is not the
        `first` piece. `mark` is removed.
        """
        if mark in text:
            ids = self._encoder.encode_marked(text, mark)
        else:
            ids = self.encode(text, add_special=False, parse_special=True)
        prefix = self._vocab.prefix_ids if self._vocab.chat_prefix and first else ()
        if prefix and ids[: len(prefix)] != list(prefix):
            ids[:0] = prefix
        return ids

    def break_special(self, text: str, mark: str) -> str:
        """`text` with `mark` inside each control token, and after what may begin one at its end."""
        pieces: list[str | int] = list(self._control.split(text))
        while any(isinstance(piece, int) for piece in pieces):  # one token may overlap the next
            parts = [
                piece if isinstance(piece, str) else self._marked(piece, mark) for piece in pieces
            ]
            text = "".join(parts)
            pieces = list(self._control.split(text))
        return text + mark if self._control.begins_at_end_of(text) else text

    def _marked(self, index: int, mark: str) -> str:
        token = self._vocab.tokens[index]
        return token[0] + mark + token[1:] if len(token) > 1 else mark

    @functools.cached_property
    def _control(self) -> AddedTokens:
        return AddedTokens(self._vocab.added(CONTROL, UNKNOWN))

    def batch(
        self,
        texts: Text | Sequence[Text],
        pairs: Text | Sequence[Text] | None = None,
        *,
        padding: Padding = True,
        truncation: Truncation = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: Literal["right", "left"] | None = None,
        is_split_into_words: bool = False,
        add_special: bool = True,
        return_offsets: bool = False,
        return_overflow: bool = False,
        return_token_type_ids: bool | None = None,
        boxes: Sequence[Sequence[Any]] | None = None,
        word_labels: Sequence[Any] | None = None,
    ) -> Encodings:
        """A batch of texts, or of pairs of texts, for an encoder; arguments as in transformers.

        Each text is a string, or with `is_split_into_words` a list of words. `padding` is True (to
        the longest row), `max_length` or False (all rows must then be alike); `truncation` is True
        or `longest_first`, `only_first`, `only_second` or False; the length is `max_length`, else
        that of the configs, if any. What is cut off is dropped, or with `return_overflow` makes
        rows of its own, which share `stride` tokens with the one before. Control tokens in a text
        count, as in transformers; text of unknown origin can forge one.

        `boxes` (four numbers for each word) and `word_labels` are spread over the tokens as for
        LayoutLM; the texts are then lists of words, and in pairs questions with lists of words.

        Raises:
            DTypeError: an entry is no string; the text says which.
            ArgumentError: no pad token, or a text that cannot be cut so.
            ShapeError: rows of different lengths without padding; fewer pairs than texts.
            MissingExtraError: `return_offsets` without the package `tokenizers`.
        """
        return self._batcher.batch(
            texts,
            pairs,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            is_split_into_words=is_split_into_words,
            add_special=add_special,
            return_offsets=return_offsets,
            return_overflow=return_overflow,
            return_token_type_ids=return_token_type_ids,
            boxes=boxes,
            word_labels=word_labels,
        )

    @functools.cached_property
    def _batcher(self) -> Batcher:
        from tallow.text.batching import Batcher

        return Batcher(self._encoder, self._vocab)

    def decode(
        self,
        ids: Iterable[int],
        skip_special: bool = True,
        *,
        skip_special_tokens: bool | None = None,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """The text of `ids`; invalid UTF-8 becomes U+FFFD, ids beyond the vocabulary nothing.

        `skip_special` (transformers' `skip_special_tokens`) leaves out control and unknown tokens.
        A vocabulary that writes a space before the first word loses that one space again. WordPiece
        and Unigram folders join words as their decoder says, and with
        `clean_up_tokenization_spaces` (by default as the configs say) punctuation to words.
        """
        skip = skip_special if skip_special_tokens is None else skip_special_tokens
        try:
            numbers = list(map(int_of, ids))
        except TypeError as error:
            raise DTypeError(f"decode: expected token ids, got others: {error}") from None
        if self._vocab.decoder is not None:
            return self._joined(numbers, skip, clean_up_tokenization_spaces)
        joined = b"".join([self.piece(index, skip) for index in numbers])
        if self._vocab.strips_space and joined.startswith(b" "):
            joined = joined[1:]
        return joined.decode("utf-8", "replace")

    def _joined(self, ids: Sequence[int], skip: bool, clean: bool | None) -> str:
        from tallow.text.decoding import clean_up

        vocab, special = self._vocab, self._special if skip else ()
        known = (i for i in ids if 0 <= i < len(vocab.tokens) and i not in special)
        decoder = vocab.decoder
        text = "" if decoder is None else decoder([vocab.tokens[index] for index in known])
        clean = vocab.settings.clean_up if clean is None else clean
        return clean_up(text) if clean and vocab.algorithm != "bpe" else text

    def piece(self, index: int, skip_special: bool = True) -> bytes:
        """What `decode` takes for one id; b"" for a skipped token or one beyond the vocabulary."""
        found = self._pieces.get(index)
        if found is None:
            known = 0 <= index < len(self._vocab.tokens)
            found = self._pieces[index] = self._vocab.spell(index) if known else b""
        return b"" if skip_special and index in self._special else found

    def token_bytes(self, index: int) -> bytes:
        """The bytes of a token, maybe part of a character; a control token's are its text.

        Raises:
            ArgumentError: no token has this id.
        """
        return self._vocab.spell(index)

    def id_to_token(self, index: int) -> str:
        """A token as the vocabulary spells it, such as `Ġthe`.

        Raises:
            ArgumentError: no token has this id.
        """
        self._vocab.spell(index)
        return self._vocab.tokens[index]

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as the vocabulary spells it, or None."""
        return self._vocab.ids.get(token)

    @property
    def vocab_size(self) -> int:
        """The number of ids; a model's output may be padded to more."""
        return len(self._vocab.tokens)

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text."""
        return self._vocab.find_special("bos")

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text; see `eos_ids` for all that end a generation."""
        return self._vocab.find_special("eos")

    @property
    def pad_id(self) -> int | None:
        """The id that fills a batch."""
        return self._vocab.find_special("pad")

    @property
    def unk_id(self) -> int | None:
        """The id of text that the vocabulary cannot spell."""
        return self._vocab.find_special("unk")

    @property
    def cls_id(self) -> int | None:
        """The id whose place stands for the whole text."""
        return self._vocab.find_special("cls")

    @property
    def sep_id(self) -> int | None:
        """The id that ends each text of a pair."""
        return self._vocab.find_special("sep")

    @property
    def mask_id(self) -> int | None:
        """The id of a token to be guessed."""
        return self._vocab.find_special("mask")

    @property
    def model_max_length(self) -> int | None:
        """The tokens that the configs say a model takes; None where they do not."""
        return self._vocab.settings.model_max_length

    @property
    def padding_side(self) -> str:
        """The side on which `batch` pads: right or left."""
        return self._vocab.settings.padding_side

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a generation: eos, end of turn, and their like."""
        return self._vocab.eos_ids

    @property
    def special_ids(self) -> frozenset[int]:
        """The control and unknown tokens, which `decode` skips."""
        return self._special

    @property
    def strips_space(self) -> bool:
        """Whether `decode` takes one space from the front of a text."""
        return self._vocab.strips_space

    @property
    def chat_template(self) -> str | None:
        """The model's Jinja template for chats, if it has one."""
        return self._vocab.chat_template

    def __repr__(self) -> str:
        return f"Tokenizer({self._vocab.algorithm}, vocab_size={self.vocab_size})"


def _checked(engine: str) -> str:
    expect(engine in _ENGINES, "engine", f"one of {', '.join(_ENGINES)}", engine, ArgumentError)
    return engine


def _model(vocab: Vocab, engine: str) -> Model:
    if engine == "hf":
        return hf.build(vocab)
    plain = _python_model(vocab)
    if plain is None:
        from tallow.text import gguf_python

        if engine == "python":
            return gguf_python.build(vocab)
        try:
            return hf.build(vocab)
        except MissingExtraError:
            return gguf_python.build(vocab)
    if engine == "python" or vocab.algorithm in ("spm", "trie"):
        return plain
    return _QuickStart(vocab, plain)


def _python_model(vocab: Vocab) -> Model | None:
    if vocab.algorithm == "bpe":
        from tallow.text.bpe_python import PythonBPE

        return PythonBPE(vocab)
    if vocab.algorithm == "spm":
        from tallow.text.spm_python import PythonSPM

        return PythonSPM(vocab)
    if vocab.algorithm == "trie":
        from tallow.text.trie_python import TrieModel

        return TrieModel(vocab)
    return None


class _QuickStart:
    """The stand-in for short ASCII text, Hugging Face's engine from the first other text on.

    Both give the same ids, at much the same speed; but `tokenizers` takes 0.1 s to import and to
    build SmolLM2's vocabulary, and 0.5 s for those of 150,000 tokens, which is most of the time
    until a first answer. ASCII, since on it no two versions of Unicode differ.
    """

    def __init__(self, vocab: Vocab, plain: Model) -> None:
        self._vocab = vocab
        self._plain = plain

    @functools.cached_property
    def _full(self) -> Model:
        try:
            return hf.build(self._vocab)
        except MissingExtraError:
            return self._plain

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        quick = len(text) <= _QUICK_LENGTH and text.isascii()
        return (self._plain if quick else self._full).encode(text)
