"""Boxes and labels of words spread over their tokens, as for transformers' LayoutLM."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from tallow.borrowing import from_buffer
from tallow.dtype import i64
from tallow.errors import DTypeError, ShapeError, expect
from tallow.lazy_dataclasses import replace
from tallow.text.batching import Encodings
from tallow.text.vocab import BatchSettings

Box = Sequence[int]


def with_boxes(
    made: Encodings,
    words: Sequence[tuple[Any, ...]],
    boxes: Sequence[Sequence[Box]],
    settings: BatchSettings,
    special: tuple[int | None, int | None],
) -> Encodings:
    """`made` with `bbox`: each token has the box of its word, special ones those of the configs.

    Of a pair the first text, a question, has the box of padding. `special` are the ids of cls and
    pad; every other special token counts as sep.
    """
    expect(len(boxes) == len(words), "boxes", f"those of {len(words)} texts", len(boxes))
    for number, (sample, own) in enumerate(zip(words, boxes, strict=True)):
        _check(sample[-1], own, number)
    cls, pad = special
    flat = array("q")
    pair = any(len(sample) > 1 for sample in words)
    rows = zip(made.overflow_to_sample, made.input_ids.tolist(), _words(made), strict=True)
    for (sample_number, ids, numbers), texts in zip(rows, made.sequence_ids, strict=True):
        for index, word, text in zip(ids, numbers, texts, strict=True):
            if word is not None:
                question = pair and text == 0
                flat.extend(settings.pad_box if question else boxes[sample_number][word])
            elif index == cls:
                flat.extend(settings.cls_box)
            else:
                flat.extend(settings.pad_box if index == pad else settings.sep_box)
    return replace(made, bbox=from_buffer(flat, i64, (*made.input_ids.shape, 4)))


def with_labels(
    made: Encodings,
    words: Sequence[tuple[Any, ...]],
    labels: Sequence[Sequence[int]],
    settings: BatchSettings,
) -> Encodings:
    """`made` with `labels`: a word's on its first token (or on all), -100 elsewhere.

    Nothing of a question has a label; transformers gives it those of the words with its numbers.
    """
    expect(len(labels) == len(words), "word_labels", f"those of {len(words)} texts", len(labels))
    for number, (sample, own) in enumerate(zip(words, labels, strict=True)):
        wanted = f"{len(sample[-1])} for the words of text {number}"
        expect(len(own) == len(sample[-1]), "word_labels", wanted, len(own))
    flat = array("q")
    labelled = max(map(len, words), default=1) - 1  # the text that has the words
    rows = zip(made.overflow_to_sample, _words(made), made.sequence_ids, strict=True)
    for number, numbers, texts in rows:
        before = None
        for word, text in zip(numbers, texts, strict=True):
            counts = text == labelled and (settings.label_all or word != before)
            flat.append(labels[number][word] if counts and word is not None else settings.no_label)
            before = word
    return replace(made, labels=from_buffer(flat, i64, made.input_ids.shape))


def _words(made: Encodings) -> list[list[int | None]]:
    assert made.word_ids is not None  # the texts were given as words
    return made.word_ids


def _check(words: Sequence[str], boxes: Any, number: int) -> None:
    where = f"boxes: text {number}"
    if isinstance(boxes, str) or not isinstance(boxes, Sequence):
        raise DTypeError(f"{where}: expected a list of boxes, got {type(boxes).__name__}")
    if len(boxes) != len(words):
        raise ShapeError(f"{where}: expected {len(words)}, one for each word, got {len(boxes)}")
    for i, box in enumerate(boxes):
        if len(box) != 4 or not all(type(value) is int for value in box):
            raise ShapeError(f"{where}, word {i}: expected 4 whole numbers, got {box!r}")
