"""Rows of a batch: texts cut to a length, special tokens around them, as `tokenizers` does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tallow.errors import ArgumentError, ModelError
from tallow.lazy_dataclasses import dataclass, replace

Span = tuple[int, int]

_TRIMMED: Final = "Ġ \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class TokenizedText(NamedTuple):
    """The ids of a text; of each its span of characters, word and spelling, where those are known.

    Spellings serve to take the spaces out of spans, and are there where that is to be done.
    """

    ids: list[int]
    spans: list[Span] | None = None
    words: list[int | None] | None = None
    tokens: list[str] | None = None

    def part(self, start: int, stop: int) -> TokenizedText:
        """The tokens from `start` to `stop`."""
        cut = slice(start, stop)
        spans = None if self.spans is None else self.spans[cut]
        words = None if self.words is None else self.words[cut]
        return TokenizedText(self.ids[cut], spans, words, self.tokens and self.tokens[cut])

    def trimmed(self, keeps_first: bool) -> TokenizedText:
        """The spans without the spaces of their tokens, as the processor ByteLevel does it.

        `keeps_first` spares one space of the first token, for the one that was put before it.
        """
        if self.spans is None or self.tokens is None:
            return self
        spans = list(self.spans)
        for i, token in enumerate(self.tokens):
            before = len(token) - len(token.lstrip(_TRIMMED))
            after = len(token) - len(token.rstrip(_TRIMMED))
            start, stop = spans[i]
            if before and keeps_first and (i == 0 or start == 0):
                before -= 1
            start = min(start + before, stop)
            spans[i] = (start, max(stop - after, start) if stop >= after else stop)
        return self._replace(spans=spans)


class TemplateSlot(NamedTuple):
    """A place of a template: text number `sequence`, or where that is None the special `ids`."""

    sequence: int | None
    ids: tuple[int, ...]
    type_id: int


@dataclass(frozen=True)
class Template:
    """Which special tokens stand around one text and around a pair, and the type of each part."""

    single: tuple[TemplateSlot, ...]
    pair: tuple[TemplateSlot, ...]
    trims: tuple[bool, ...] = ()  # what `TokenizedText.trimmed` is called with, step by step
    slow: bool = False  # cuts texts as transformers' classes in Python do
    absorbs: bool = False  # what ends a text is not put there again

    def slots(self, pair: bool) -> tuple[TemplateSlot, ...]:
        """The places for one text or for a pair."""
        return self.pair if pair else self.single

    def added(self, pair: bool) -> int:
        """How many special tokens are added."""
        return sum(len(slot.ids) for slot in self.slots(pair))

    def bare(self) -> Template:
        """The same types without the special tokens."""
        single, pair = (tuple(s for s in slots if not s.ids) for slots in (self.single, self.pair))
        return replace(self, single=single, pair=pair)


def affixes(template: Template) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens before and after a single text."""
    at = next((i for i, slot in enumerate(template.single) if not slot.ids), 0)
    parts = template.single[:at], template.single[at:]
    prefix, suffix = (tuple(index for slot in part for index in slot.ids) for part in parts)
    return prefix, suffix


def affixed(prefix: Sequence[int] = (), suffix: Sequence[int] = ()) -> Template:
    """The template of a vocabulary that knows what stands before and after a text."""
    first, last = TemplateSlot(None, tuple(prefix), 0), TemplateSlot(None, tuple(suffix), 0)
    single = (first, TemplateSlot(0, (), 0), last)
    return Template(single, (*single, TemplateSlot(1, (), 1), last._replace(type_id=1)))


_PLAIN = affixed()


def read_template(steps: Sequence[Mapping[str, Any]]) -> Template:
    """The template of a tokenizer.json's post-processors, given one by one.

    Raises:
        ModelError: a step of the wrong form or of an unknown kind, or two that add tokens.
    """
    found: list[Template] = []
    trims = []
    for step in steps:
        kind = step.get("type")
        if kind in ("ByteLevel", "RobertaProcessing") and step.get("trim_offsets", True):
            trims.append(bool(step.get("add_prefix_space", True)))
        if kind == "ByteLevel":
            continue
        try:
            found.append(_READERS[kind](step))
        except KeyError as error:
            wanted = f"one of {', '.join(_READERS)}" if error.args == (kind,) else "its fields"
            raise ModelError(f"tokenizer.json: post_processor: expected {wanted}, got {kind}, "
                             f"without {error}") from None  # fmt: skip
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"tokenizer.json: post_processor: {kind}: {error}") from None
    if len(found) > 1:
        raise ModelError("tokenizer.json: post_processor: expected one that adds tokens, got more")
    return replace(found[0] if found else _PLAIN, trims=tuple(trims))


def _templated(step: Mapping[str, Any]) -> Template:
    known = step.get("special_tokens") or {}

    def slot(part: Mapping[str, Any]) -> TemplateSlot:
        if "Sequence" in part:
            row = part["Sequence"]
            return TemplateSlot("AB".index(row["id"]), (), int(row.get("type_id", 0)))
        row = part["SpecialToken"]
        return TemplateSlot(
            None, tuple(map(int, known[row["id"]]["ids"])), int(row.get("type_id", 0))
        )

    return Template(tuple(map(slot, step["single"])), tuple(map(slot, step["pair"])))


def _bert(step: Mapping[str, Any]) -> Template:
    sep, cls = int(step["sep"][1]), int(step["cls"][1])
    single = (TemplateSlot(None, (cls,), 0), TemplateSlot(0, (), 0), TemplateSlot(None, (sep,), 0))
    return Template(single, (*single, TemplateSlot(1, (), 1), TemplateSlot(None, (sep,), 1)))


def _roberta(step: Mapping[str, Any]) -> Template:
    sep, cls = int(step["sep"][1]), int(step["cls"][1])
    last = TemplateSlot(None, (sep,), 0)
    single = (TemplateSlot(None, (cls,), 0), TemplateSlot(0, (), 0), last)
    return Template(single, (*single, last, TemplateSlot(1, (), 0), last))


_READERS: Mapping[Any, Any] = {
    "TemplateProcessing": _templated,
    "BertProcessing": _bert,
    "RobertaProcessing": _roberta,
}


@dataclass(frozen=True)
class Truncate:
    """How texts are cut: to `length` with the special tokens, the parts overlapping by `stride`."""

    length: int
    strategy: str = "longest_first"
    stride: int = 0
    left: bool = False

    def parts(self, piece: TokenizedText, length: int) -> list[TokenizedText]:
        """Parts of at most `length` tokens, the one that is kept first."""
        count = len(piece.ids)
        if length >= count:
            return [piece]
        if length <= 0:
            return [piece.part(0, 0), piece]
        if self.stride >= length:
            raise ArgumentError(f"stride: expected less than the {length} tokens of a part, "
                                f"got {self.stride}")  # fmt: skip
        return [piece.part(*span) for span in self._spans(count, length)]

    def _spans(self, count: int, length: int) -> Iterator[Span]:
        for at in range(0, count, length - self.stride):
            end = min(at + length, count)
            yield (count - end, count - at) if self.left else (at, end)
            if end == count:
                return

    def cut(
        self, pieces: Sequence[TokenizedText], added: int, slow: bool = False
    ) -> list[list[TokenizedText]]:
        """The parts of each text, so that the first ones and `added` tokens have the length.

        Raises:
            ArgumentError: the text to be cut is too short for that, or there is no second one.
        """
        room = self.length - added
        if room < 0:
            raise ArgumentError(f"max_length: expected at least the {added} special tokens, "
                                f"got {self.length}")  # fmt: skip
        counts = [len(piece.ids) for piece in pieces]
        excess = sum(counts) - room
        if excess <= 0:
            return [[piece] for piece in pieces]
        if self.strategy == "longest_first" or not room:
            counts = (_slow_longest_first if slow else _longest_first)(counts, room)
        else:
            which = 0 if self.strategy == "only_first" else 1
            if which >= len(pieces):
                raise ArgumentError("truncation: only_second: expected a pair, got one text")
            if counts[which] <= excess:
                raise ArgumentError(f"truncation: {self.strategy}: expected more than {excess} "
                                    f"tokens to cut from, got {counts[which]}")  # fmt: skip
            counts[which] -= excess
        return [self.parts(*each) for each in zip(pieces, counts, strict=True)]


def _longest_first(counts: Sequence[int], room: int) -> list[int]:
    """The lengths of one or two texts in `room` tokens, the longer one cut first."""
    if len(counts) == 1:
        return [room]
    short, long = sorted(counts)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return [long, short] if counts[0] > counts[1] else [short, long]


def _slow_longest_first(counts: Sequence[int], room: int) -> list[int]:
    """The same, but of two texts of one length the first one keeps the odd token."""
    if len(counts) == 1:
        return [room]
    first, second = counts
    excess = first + second - room
    both = excess - min(abs(first - second), excess)
    only = excess - both
    if first > second:
        return [first - only - both // 2, second - (both - both // 2)]
    return [first - both // 2, second - only - (both - both // 2)]


class EncodedRow(NamedTuple):
    """One row: the texts' parts at their places of the template."""

    slots: tuple[TemplateSlot, ...]
    pieces: tuple[TokenizedText, ...]

    def ids(self) -> list[int]:
        """All ids."""
        found: list[int] = []
        for slot in self.slots:
            found += slot.ids if slot.sequence is None else self.pieces[slot.sequence].ids
        return found

    def _count(self, slot: TemplateSlot) -> int:
        return len(slot.ids) if slot.sequence is None else len(self.pieces[slot.sequence].ids)

    def types(self) -> list[int]:
        """The type of each token: mostly 0 in the first text, 1 in the second."""
        found: list[int] = []
        for slot in self.slots:
            found += [slot.type_id] * self._count(slot)
        return found

    def special(self) -> list[int]:
        """1 for a token that the template added, 0 for one of a text."""
        found: list[int] = []
        for slot in self.slots:
            found += [int(slot.sequence is None)] * self._count(slot)
        return found

    def sequences(self) -> list[int | None]:
        """The number of the text that a token is from; None for a special one."""
        found: list[int | None] = []
        for slot in self.slots:
            found += [slot.sequence] * self._count(slot)
        return found

    def spans(self) -> list[Span]:
        """The characters of each token; (0, 0) for a special one."""
        found: list[Span] = []
        for slot in self.slots:
            own = None if slot.sequence is None else self.pieces[slot.sequence].spans
            found += own if own is not None else [(0, 0)] * self._count(slot)
        return found

    def words(self) -> list[int | None]:
        """The word of each token; None for a special one."""
        found: list[int | None] = []
        for slot in self.slots:
            own = None if slot.sequence is None else self.pieces[slot.sequence].words
            found += own if own is not None else [None] * self._count(slot)
        return found


def rows_of(
    pieces: Sequence[TokenizedText], template: Template, cut: Truncate | None
) -> list[EncodedRow]:
    """The row of one text or of a pair, then those of what was cut off.

    In the order of Hugging Face: each further part of the first text with each of the second.
    """
    pair = len(pieces) == 2
    slots = template.slots(pair)
    parts = (
        [[each] for each in pieces]
        if cut is None
        else cut.cut(pieces, template.added(pair), template.slow)
    )
    for keeps_first in template.trims:
        parts = [[part.trimmed(keeps_first) for part in each] for each in parts]
    if not pair:
        return [_row(template, slots, (part,)) for part in parts[0]]
    (first, *more), seconds = parts
    found = [(first, seconds[0])]
    found += [(one, other) for one in more for other in seconds]
    found += [(first, other) for other in seconds[1:]]
    return [_row(template, slots, both) for both in found]


def _row(
    template: Template, slots: tuple[TemplateSlot, ...], pieces: tuple[TokenizedText, ...]
) -> EncodedRow:
    if not template.absorbs:
        return EncodedRow(slots, pieces)
    kept, last = [], list[int]()
    for slot in slots:
        if slot.sequence is not None:
            last = pieces[slot.sequence].ids[-1:]
        elif list(slot.ids) == last:
            continue
        kept.append(slot)
    return EncodedRow(tuple(kept), pieces)
