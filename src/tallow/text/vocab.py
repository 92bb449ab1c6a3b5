"""What every engine is built from: tokens, their kinds, merges, scores, special ids."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import dataclass, field
from tallow.text.pretokenizers import PreTokenizer

if TYPE_CHECKING:
    from tallow._native import Texts

# Kinds of tokens, numbered as in GGUF's `tokenizer.ggml.token_type`.
NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
UNUSED: Final = 5
BYTE: Final = 6

SPACE_MARK: Final = "▁"  # U+2581 stands for a space in SentencePiece vocabularies

Algorithm = Literal["bpe", "spm", "wordpiece", "unigram", "word", "trie"]

# Texts that end a generation, as llama.cpp knows them; `</s>` is also an HTML tag, so it must be a
# control token.
END_TEXTS: Final = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<｜end▁of▁sentence｜>", "[e~[",
    # Padding, repository and file separators of fill-in-the-middle models.
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]",
    "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
)  # fmt: skip
# Where the parts of a fill-in-the-middle prompt begin. llama.cpp makes them control tokens whatever
# the file calls them (DeepSeek Coder's user-defined), so that text of unknown origin forges none.
FILL_TEXTS: Final = (
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
    "<|code_prefix|>", "<|prefix|>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
    "<|code_suffix|>", "<|suffix|>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
    "<|code_middle|>", "<|middle|>",
)  # fmt: skip


class Model(Protocol):
    """Turns plain text, free of special tokens, into ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text`."""
        ...


@dataclass(frozen=True)
class Normalizer:
    """What BERT and Unigram vocabularies do to text before they look it up."""

    lowercase: bool = True
    strip_accents: bool = True
    charsmap: bytes = b""


@dataclass(frozen=True)
class BatchSettings:
    """What a tokenizer's configs say of batches; see `Tokenizer.batch`."""

    model_max_length: int | None = None
    padding_side: str = "right"
    truncation_side: str = "right"
    pad_type_id: int = 0
    token_types: bool = False
    cls_box: tuple[int, ...] = (0, 0, 0, 0)
    sep_box: tuple[int, ...] = (1000, 1000, 1000, 1000)
    pad_box: tuple[int, ...] = (0, 0, 0, 0)
    no_label: int = -100
    label_all: bool = False  # whether every token of a word has its label, not only the first
    clean_up: bool = False  # whether `decode` joins punctuation to the word before


class TextIds(Mapping[str, int]):
    """The first id of each text of an array, which is looked up in the file's own bytes."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._dict: dict[str, int] | None = None

    def get(self, text: object, default: Any = None) -> Any:
        """The id of a text, or `default`."""
        if self._dict is not None:
            return self._dict.get(text, default)  # type: ignore[call-overload]
        found = self._texts.find(text) if isinstance(text, str) else None
        return default if found is None else found

    def __getitem__(self, text: str) -> int:
        found: int | None = self.get(text)
        if found is None:
            raise KeyError(text)
        return found

    def __contains__(self, text: object) -> bool:
        return self.get(text) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def as_dict(self) -> dict[str, int]:
        """A dictionary of all of them."""
        return dict(self._all())

    def _all(self) -> dict[str, int]:
        if self._dict is None:
            self._dict = first_places(self._texts.all())
        return self._dict


def first_places(texts: Sequence[str]) -> dict[str, int]:
    """The number of each text; a text that stands twice means its first."""
    places = dict(zip(texts, range(len(texts)), strict=True))
    if len(places) != len(texts):
        places = {}
        for i, text in enumerate(texts):
            places.setdefault(text, i)
    return places


@dataclass(frozen=True)
class Vocab:
    """Tokens by id, their kinds, and what an algorithm needs to find them in text.

    `merges` are `"left right"` in order of rank (bpe); `scores` are log probabilities or negative
    ranks (spm, unigram). `chat_prefix` says that a chat begins with `prefix_ids` even where its
    template does not write them; `spelled_ids` are ordinary tokens that count as control tokens
    where those are looked for. `special` maps bos, eos, eot, eom, unk, sep, pad, cls and mask to
    ids; an absent name has no token. `decoder` makes the text of tokens where that is more than
    what they spell.
    """

    algorithm: Algorithm
    tokens: Sequence[str] | Texts
    kinds: Sequence[int]
    ids: Mapping[str, int]
    merges: Sequence[str] | Texts = ()
    scores: Sequence[float] = ()
    pre: PreTokenizer = field(default_factory=lambda: PreTokenizer(()))
    normalizer: Normalizer = field(default_factory=Normalizer)
    special: Mapping[str, int] = field(default_factory=dict)
    eos_ids: frozenset[int] = frozenset()
    strips_before: frozenset[int] = frozenset()
    strips_after: frozenset[int] = frozenset()
    prefix_ids: tuple[int, ...] = ()
    suffix_ids: tuple[int, ...] = ()
    chat_prefix: bool = True
    spelled_ids: tuple[int, ...] = ()
    add_space_prefix: bool = False
    remove_extra_whitespaces: bool = False
    phantom_space: bool = False
    nfc: bool = False
    chat_template: str | None = None
    settings: BatchSettings = field(default_factory=BatchSettings)
    decoder: Callable[[list[str]], str] | None = None

    @property
    def byte_level(self) -> bool:
        """Whether tokens are spelled in GPT-2's printable stand-ins for bytes."""
        return self.algorithm == "bpe" and self.pre.byte_level

    @property
    def strips_space(self) -> bool:
        """Whether a decoded text loses the space that encoding put before its first word."""
        if self.algorithm == "unigram":
            return self.add_space_prefix or self.remove_extra_whitespaces
        return self.algorithm == "wordpiece" or (self.algorithm == "spm" and self.add_space_prefix)

    @functools.cached_property
    def plain_ids(self) -> dict[str, int]:
        """The tokens that ordinary text can become: not control, not unknown, not byte tokens."""
        ids = dict(self.ids) if not isinstance(self.ids, TextIds) else self.ids.as_dict()
        for text in self._never_plain:
            ids.pop(text, None)
        return ids

    @functools.cached_property
    def _never_plain(self) -> frozenset[str]:
        hidden = (CONTROL, UNKNOWN, BYTE)
        return frozenset(self.tokens[index] for index, kind in self.marked if kind in hidden)

    def plain_id(self, text: str) -> int | None:
        """What `plain_ids` has for a text, without making it."""
        return None if text in self._never_plain else self.ids.get(text)

    @functools.cached_property
    def marked(self) -> list[tuple[int, int]]:
        """The ids of all tokens that are not ordinary ones, with their kinds."""
        kinds = self.kinds
        try:
            # Most tokens are ordinary: a pattern steps over them without an object each.
            found = [match.start() for match in re.finditer(rb"[^\x01]", bytes(kinds), re.DOTALL)]
        except (ValueError, TypeError):  # a kind that no format knows
            found = [index for index, kind in enumerate(kinds) if kind != NORMAL]
        return [(index, kinds[index]) for index in found]

    @functools.cached_property
    def byte_ids(self) -> list[int | None]:
        """The id of each byte's own token, `<0x00>` to `<0xFF>`; None where there is none."""
        return [self.ids.get(f"<0x{byte:02X}>") for byte in range(256)]

    def added(self, *kinds: int) -> dict[str, int]:
        """The tokens of these kinds, by text; `spelled_ids` among the control tokens."""
        found = {self.tokens[index]: index for index, kind in self.marked if kind in kinds}
        if CONTROL in kinds:
            found |= {self.tokens[i]: i for i in self.spelled_ids}
        return found

    def find_special(self, name: str) -> int | None:
        """The id of bos, eos, eot, eom, unk, sep, pad, cls or mask."""
        return self.special.get(name)

    def spell(self, index: int) -> bytes:
        """The bytes that token `index` stands for; a control token stands for its own text.

        Raises:
            ArgumentError: no token has this id.
        """
        if not 0 <= index < len(self.tokens):
            raise ArgumentError(f"token id: expected 0 ≤ id < {len(self.tokens)}, got {index}")
        text, kind = self.tokens[index], self.kinds[index]
        if kind in (CONTROL, UNKNOWN, USER_DEFINED):
            return encode_utf8(text)
        if kind == UNUSED:
            return b""
        if kind == BYTE:
            return _byte_of(text)
        if self.byte_level:
            return spelled_bytes(text)
        if self.algorithm == "wordpiece":
            return encode_utf8(self._spell_wordpiece(text))
        if self.algorithm == "trie":
            return unescaped(text)
        return encode_utf8(text.replace(SPACE_MARK, " "))

    def _spell_wordpiece(self, text: str) -> str:
        if self.phantom_space:
            return text.replace(SPACE_MARK, " ")
        return text[2:] if text.startswith("##") else f" {text}"


def encode_utf8(text: str) -> bytes:
    """UTF-8, with U+FFFD for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return clean(text).encode()


def clean(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, which no UTF-8 text can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def end_ids(
    ids: Mapping[str, int], kinds: Sequence[int], named: Iterable[int]
) -> tuple[frozenset[int], Sequence[int]]:
    """Which tokens end a generation, and the kinds with those and `FILL_TEXTS` as control tokens.

    The former are those that the file names and those whose text says so; `</s>`, which is also an
    HTML tag, not where the file calls it ordinary text. `<|end|>` merely closes a message where
    `<|return|>` and `<|call|>` (or `<|flush|>` and `<|calls|>`) end the turn.
    """
    found = set(named)
    texts = {text: index for text in END_TEXTS if (index := ids.get(text)) is not None}
    if "</s>" in texts and (kinds[texts["</s>"]] == NORMAL or "<|tool_response>" in texts):
        del texts["</s>"]
    if {"<|return|>", "<|call|>"} <= texts.keys() or {"<|flush|>", "<|calls|>"} <= texts.keys():
        texts.pop("<|end|>", None)
    control = {*texts.values(), *(ids[text] for text in FILL_TEXTS if text in ids)}
    if any(kinds[index] != CONTROL for index in control):
        kinds = list(kinds)
        for index in control:
            kinds[index] = CONTROL
    return frozenset(found | set(texts.values())), kinds


@functools.cache
def byte_chars() -> tuple[str, ...]:
    """GPT-2's character for each byte: itself where printable, else one from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare: Iterator[int] = iter(range(256, 512))
    return tuple(chr(b) if b in printable else chr(next(spare)) for b in range(256))


@functools.cache
def _char_bytes() -> dict[int, int]:
    return {ord(char): byte for byte, char in enumerate(byte_chars())}


def spelled_bytes(text: str) -> bytes:
    """The bytes that a token of a byte-level vocabulary is spelled in."""
    table = _char_bytes()
    try:
        return bytes([table[ord(char)] for char in text])
    except KeyError:  # a token that is not spelled in bytes stands for its own text
        return encode_utf8(text)


_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED: Final = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


def unescaped(text: str) -> bytes:
    """The bytes of a token that is written as Python writes bytes (`trie`)."""
    raw = encode_utf8(text)
    if b"\\" not in raw:
        return raw
    return _ESCAPE.sub(
        lambda found: bytes([int(found[1], 16)]) if found[1] else _NAMED.get(found[2], found[2]),
        raw,
    )


def _byte_of(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return encode_utf8(text)
