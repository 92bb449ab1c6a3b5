"""TokenClassifier: labelled spans of texts, such as names of persons and places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.ops import softmax
from tallow.tasks.base import Task, as_text, inputs_of, label_names, longest, pads, text_inputs

Strategy = Literal["none", "simple", "first", "average", "max"]
STRATEGIES = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True)
class Entity:
    """A labelled span: characters `start` to `end` of the text."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Token:
    scores: list[float]
    start: int
    end: int
    continues: bool  # the word of the token before


class TokenClassifier(Task[str, list[_Token]]):
    """A token classifier: `classifier(texts)` gives the entities of each text.

    Texts beyond the model's positions run through it in windows that overlap by a quarter.
    """

    task = "token-classification"

    def __call__(
        self,
        texts: str | Iterable[str],
        *,
        aggregation_strategy: Strategy = "simple",
        ignore_labels: Sequence[str] = ("O",),
        batch_size: int | None = None,
    ) -> Any:
        """The entities of each text in order; of a single text its own list.

        Strategies are those of transformers: `none` gives tokens, `simple` joins neighbours of one
        label, and `first`, `average` and `max` let words have one label before.

        Raises:
            BatchError: some texts failed; the others' entities are kept in it.
        """
        known = aggregation_strategy in STRATEGIES
        wanted = ", ".join(STRATEGIES)
        expect(known, "aggregation_strategy", wanted, aggregation_strategy, ArgumentError)
        ignored = [ignore_labels] if isinstance(ignore_labels, str) else list(ignore_labels)

        def finish(text: str, tokens: list[_Token]) -> list[Entity]:
            return self.entities(text, tokens, aggregation_strategy, ignored)

        return self.each(texts, batch_size, finish)

    def entities(
        self,
        text: str,
        tokens: list[_Token],
        strategy: Strategy = "simple",
        ignored: Sequence[str] = ("O",),
    ) -> list[Entity]:
        """The entities of one text's tokens."""
        return _entities(text, tokens, label_names(self.model), strategy, ignored)

    def prepare(self, item: str) -> str:
        """The text, checked."""
        return as_text(item, "classify")

    weigh = staticmethod(len)

    def compute(self, prepared: Sequence[str]) -> Sequence[list[_Token]]:
        """The tokens of each text with the probabilities of all labels."""
        tokenizer = self.tokenizer
        limit = longest(tokenizer, self.model.config)
        found = tokenizer.batch(
            list(prepared),
            padding=pads(tokenizer, prepared),
            truncation=limit is not None,
            max_length=limit,
            stride=0 if limit is None else limit // 4,
            return_offsets=True,
            return_overflow=True,
        )
        inputs = inputs_of(self.model, text_inputs(found))
        scores = softmax(self.model(**inputs).logits, -1).tolist()
        ids, special = found.input_ids.tolist(), found.special_tokens_mask.tolist()
        assert found.offsets is not None, "asked for above"
        best: list[dict[tuple[int, int], tuple[int, _Token]]] = [{} for _ in prepared]
        for row, sample in enumerate(found.overflow_to_sample):
            spans = found.offsets[row]
            own = [at for at, mark in enumerate(special[row]) if not mark]
            for place, at in enumerate(own):
                # Of windows that overlap, the one that sees most around a token counts.
                room = min(place, len(own) - 1 - place)
                span = spans[at]
                token = _Token(
                    scores[row][at], *span, self._continues(ids[row][at], span, prepared[sample])
                )
                if span not in best[sample] or best[sample][span][0] < room:
                    best[sample][span] = (room, token)
        return [[token for _, token in sorted(each.values(), key=_start)] for each in best]

    def _continues(self, index: int, span: tuple[int, int], text: str) -> bool:
        """Whether a token goes on with the word before it, as transformers tells."""
        if index == self.tokenizer.unk_id:
            return False
        piece = self.tokenizer.id_to_token(index)
        if piece.startswith("##"):
            return True
        start, end = span
        if self._word_pieces:
            return len(piece) != end - start
        return start > 0 and " " not in text[start - 1 : start + 1]

    @property
    def _word_pieces(self) -> bool:
        return self.tokenizer.cls_id is not None and self.tokenizer.token_to_id("##s") is not None


def _start(entry: tuple[int, _Token]) -> int:
    return entry[1].start


def _entities(
    text: str, tokens: list[_Token], names: list[str], strategy: Strategy, ignored: Sequence[str]
) -> list[Entity]:
    if strategy in ("none", "simple"):
        words = [[token] for token in tokens]
    else:
        words = []
        for token in tokens:
            if words and token.continues:
                words[-1].append(token)
            else:
                words.append([token])
    labelled = [_word(text, word, names, strategy) for word in words]
    if strategy == "none":
        return [entity for entity in labelled if entity.label not in ignored]
    grouped: list[list[Entity]] = []
    for entity in labelled:
        begin, tag = _tag(entity.label)
        if grouped and tag == _tag(grouped[-1][-1].label)[1] and not begin:
            grouped[-1].append(entity)
        else:
            grouped.append([entity])
    made = []
    for group in grouped:
        tag = _tag(group[0].label)[1]
        score = sum(entity.score for entity in group) / len(group)
        start, end = group[0].start, group[-1].end
        if tag not in ignored:
            made.append(Entity(tag, score, text[start:end], start, end))
    return made


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity (`B-`), and the entity's own name."""
    if label.startswith(("B-", "I-")):
        return label.startswith("B-"), label[2:]
    return False, label


def _word(text: str, word: list[_Token], names: list[str], strategy: Strategy) -> Entity:
    start, end = word[0].start, word[-1].end
    if strategy == "max":
        scores = max((token.scores for token in word), key=max)
    elif strategy == "average":
        scores = [sum(column) / len(word) for column in zip(*(t.scores for t in word), strict=True)]
    else:
        scores = word[0].scores
    index = max(range(len(scores)), key=scores.__getitem__)
    return Entity(names[index], scores[index], text[start:end], start, end)
