"""Batches of texts for encoders, with the semantics of a call of Hugging Face's tokenizers."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from tallow.borrowing import from_buffer
from tallow.dtype import i64
from tallow.errors import ArgumentError, DTypeError, ShapeError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.tensor import Tensor
from tallow.text.encoder import Encoder
from tallow.text.rows import EncodedRow, Span, Truncate, rows_of
from tallow.text.vocab import Vocab, clean

Padding = bool | Literal["longest", "max_length", "do_not_pad"]
Truncation = bool | Literal["longest_first", "only_first", "only_second", "do_not_truncate"] | None
Text = str | Sequence[str]

_PADDINGS: Final[Mapping[Any, str]] = {
    True: "longest",
    False: "do_not_pad",
    **{name: name for name in ("longest", "max_length", "do_not_pad")},
}
_TRUNCATIONS: Final[Mapping[Any, str]] = {
    True: "longest_first",
    False: "do_not_truncate",
    None: "do_not_truncate",
    **{name: name for name in ("longest_first", "only_first", "only_second", "do_not_truncate")},
}
_SIDES: Final = ("right", "left")


@dataclass(frozen=True)
class Encodings:
    """A batch of `rows` texts; the tensors are of i64 and shape `(rows, length)`.

    `attention_mask` is 0 where a row is padded. `token_type_ids` is None where the model takes
    none, `offsets` (the span of each token in its text, or in its word) where they were not asked
    for, `word_ids` where neither they nor words were. `special_tokens_mask` is 1 for a token that
    is of no text, `sequence_ids` the number of the text of a pair, `overflow_to_sample` the number
    of each row's text. `bbox` of shape `(rows, length, 4)` and `labels` spread what was given
    for words.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    special_tokens_mask: Tensor
    sequence_ids: list[list[int | None]]
    overflow_to_sample: list[int]
    offsets: list[list[Span]] | None = None
    word_ids: list[list[int | None]] | None = None
    bbox: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.overflow_to_sample)


class Batcher:
    """Makes batches for one tokenizer."""

    def __init__(self, encoder: Encoder, vocab: Vocab) -> None:
        self._encoder = encoder
        self._settings = vocab.settings
        self._pad_id = vocab.find_special("pad")
        self._cls_id = vocab.find_special("cls")

    def batch(
        self,
        texts: Text | Sequence[Text],
        pairs: Text | Sequence[Text] | None,
        *,
        padding: Padding,
        truncation: Truncation,
        max_length: int | None,
        stride: int,
        pad_to_multiple_of: int | None,
        padding_side: str | None,
        is_split_into_words: bool,
        add_special: bool,
        return_offsets: bool,
        return_overflow: bool,
        return_token_type_ids: bool | None,
        boxes: Sequence[Sequence[Any]] | None,
        word_labels: Sequence[Any] | None,
    ) -> Encodings:
        """See `Tokenizer.batch`."""
        side = self._settings.padding_side if padding_side is None else padding_side
        expect(side in _SIDES, "padding_side", "right or left", side, ArgumentError)
        pad, cut = self._plan(padding, truncation, max_length, stride, pad_to_multiple_of)
        if boxes is not None or word_labels is not None:
            if _is_one(texts if pairs is None else pairs, True):
                boxes = None if boxes is None else [boxes]
                word_labels = None if word_labels is None else [word_labels]
            texts = _split(texts) if pairs is not None else texts
            is_split_into_words = True
        samples = _samples(texts, pairs, is_split_into_words)
        flat = [part for sample in samples for part in sample]
        pieces = iter(self._encoder.pieces(flat, spans=return_offsets, split=is_split_into_words))
        template = self._encoder.template if add_special else self._encoder.template.bare()
        rows, owners = [], []
        for number, sample in enumerate(samples):
            try:
                made = rows_of([next(pieces) for _ in sample], template, cut)
            except ArgumentError as error:
                raise ArgumentError(f"batch: text {number}: {error}") from None
            made = made if return_overflow else made[:1]
            rows += made
            owners += [number] * len(made)
        filler = _filler([row.ids() for row in rows], pad, pad_to_multiple_of, side == "left")
        types = return_token_type_ids
        if types is None:
            types = self._settings.token_types
        words = return_offsets or is_split_into_words
        made_of = Encodings(
            input_ids=filler.matrix(filler.ids, self._pad_id or 0),
            attention_mask=filler.matrix([[1] * len(row) for row in filler.ids], 0),
            token_type_ids=filler.matrix(map(EncodedRow.types, rows), self._settings.pad_type_id)
            if types
            else None,
            special_tokens_mask=filler.matrix(map(EncodedRow.special, rows), 1),
            sequence_ids=filler.lists(map(EncodedRow.sequences, rows), None),
            overflow_to_sample=owners,
            offsets=filler.lists(map(EncodedRow.spans, rows), (0, 0)) if return_offsets else None,
            word_ids=filler.lists(map(EncodedRow.words, rows), None) if words else None,
        )
        if boxes is not None or word_labels is not None:
            from tallow.text import boxes as word_boxes

            ids = (self._cls_id, self._pad_id)
            if boxes is not None:
                made_of = word_boxes.with_boxes(made_of, samples, boxes, self._settings, ids)
            if word_labels is not None:
                made_of = word_boxes.with_labels(made_of, samples, word_labels, self._settings)
        return made_of

    def _plan(
        self,
        padding: Padding,
        truncation: Truncation,
        max_length: int | None,
        stride: int,
        multiple: int | None,
    ) -> tuple[int | None, Truncate | None]:
        """The least length of a padded row (None: no padding), and how texts are cut."""
        _at_least("max_length", max_length, 0)
        _at_least("stride", stride, 0)
        _at_least("pad_to_multiple_of", multiple, 1)
        pad = _named("padding", padding, _PADDINGS)
        how = _named("truncation", truncation, _TRUNCATIONS)
        if max_length is not None and truncation is None:
            if pad == "do_not_pad":
                how = "longest_first"
            elif pad == "longest":
                what = "max_length: without effect on padding=True without truncation"
                warnings.warn(f"{what}; padding='max_length' pads to it", stacklevel=4)
        limit = self._settings.model_max_length if max_length is None else max_length
        if limit is None:
            pad = "do_not_pad" if pad == "max_length" else pad
            how = "do_not_truncate"
        pads = pad != "do_not_pad"
        if pads and self._pad_id is None:
            raise ArgumentError("padding: expected a tokenizer with a pad token, got one without")
        cut = None
        if how != "do_not_truncate" and limit is not None:
            cut = Truncate(limit, how, stride, self._settings.truncation_side == "left")
            if pads and multiple is not None and limit % multiple:
                raise ArgumentError(f"max_length: expected a multiple of {multiple} "
                                    f"(pad_to_multiple_of), got {limit}")  # fmt: skip
        least = limit if pad == "max_length" and limit is not None else 0
        return least if pads else None, cut


def _at_least(name: str, value: Any, least: int) -> None:
    fits = value is None or (type(value) is int and value >= least)
    expect(fits, name, f"a number of at least {least}", value, ArgumentError)


def _named(name: str, value: Any, names: Mapping[Any, str]) -> str:
    known = isinstance(value, (bool, str, type(None))) and value in names
    expect(known, name, f"one of {', '.join(map(str, names))}", value, ArgumentError)
    return names[value]


@dataclass(frozen=True)
class _Filler:
    """Rows of different lengths made one matrix."""

    ids: list[list[int]]
    length: int
    left: bool

    def matrix(self, rows: Iterable[list[int]], fill: int) -> Tensor:
        flat = array("q")
        for row in rows:
            gap = [fill] * (self.length - len(row))
            flat.extend(gap + row if self.left else row + gap)
        return from_buffer(flat, i64, (len(self.ids), self.length))

    def lists(self, rows: Iterable[list[Any]], fill: Any) -> list[list[Any]]:
        gaps = [(row, [fill] * (self.length - len(row))) for row in rows]
        return [gap + row if self.left else row + gap for row, gap in gaps]


def _filler(ids: list[list[int]], pad: int | None, multiple: int | None, left: bool) -> _Filler:
    lengths = list(map(len, ids))
    length = max(lengths, default=0)
    if pad is None:
        short = next((i for i, count in enumerate(lengths) if count != length), None)
        if short is not None:
            raise ShapeError(f"batch: row {short}: expected {length} tokens like the longest row, "
                             f"got {lengths[short]}: pass padding=True")  # fmt: skip
        return _Filler(ids, length, left)
    length = max(length, pad)
    if multiple is not None:
        length = -(-length // multiple) * multiple
    return _Filler(ids, length, left)


def _samples(texts: Any, pairs: Any, split: bool) -> list[tuple[Any, ...]]:
    """One text or a pair for each row, checked; lone surrogates replaced."""
    check: Callable[[Any, str], Any] = _words if split else _text
    single = _is_one(texts, split)
    many = [texts] if single else _listed(texts, "texts")
    if pairs is None:
        if split:
            return [(check(text, f"text {i}"),) for i, text in enumerate(many)]
        return [_text_or_pair(text, i) for i, text in enumerate(many)]
    others = [pairs] if single and _is_one(pairs, split) else _listed(pairs, "pairs")
    expect(len(others) == len(many), "batch", f"{len(many)} pairs, one for each text", len(others))
    return [
        (check(one, f"text {i}"), check(other, f"pair {i}"))
        for i, (one, other) in enumerate(zip(many, others, strict=True))
    ]


def _is_one(value: Any, split: bool) -> bool:
    """Whether this is one text (or the words of one) rather than a list of them."""
    if not split:
        return isinstance(value, str)
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], str)


def _split(texts: Any) -> Any:
    """Questions, of one text or of several, as words."""
    if isinstance(texts, str):
        return texts.split()
    many = isinstance(texts, (list, tuple))
    return [each.split() if isinstance(each, str) else each for each in texts] if many else texts


def _listed(value: Any, name: str) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise DTypeError(f"batch: {name}: expected a list of texts, got {type(value).__name__}")
    return list(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DTypeError(f"batch: {where}: expected a string, got {type(value).__name__}")
    return value if value.isascii() else clean(value)


def _text_or_pair(value: Any, number: int) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(_text(part, f"text {number}") for part in value)
    return (_text(value, f"text {number}"),)


def _words(value: Any, where: str) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise DTypeError(f"batch: {where}: expected a list of words, got {type(value).__name__}")
    return [_text(word, f"{where}, word {i}") for i, word in enumerate(value)]
