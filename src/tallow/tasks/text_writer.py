"""Encoder-decoders that make a text of a text: long ones in parts, batches of all parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from tallow.errors import ModelError
from tallow.factories import tensor
from tallow.generate.config import GenerationConfig
from tallow.lazy_dataclasses import field_names
from tallow.models.generation import EncoderDecoderModel
from tallow.tasks.base import Item, Task, longest
from tallow.tasks.text_parts import parts

MOST_TOKENS = 512  # of a part, and of what is written, where nothing else says how many


class Source(NamedTuple):
    """A part of a text as the model reads it, and what its generation is told."""

    ids: list[int]
    options: Mapping[str, Any]


Prepared = list[Source | str]  # parts, and what stands between them


class TextWriter(Task[Item, str]):
    """A model that writes a text for a text.

    `generation` are fields of `GenerationConfig`, which stand in the place of the checkpoint's;
    `num_beams` and `max_new_tokens` are two of them. Where nothing says how long an answer may be,
    it ends after as many tokens as a part may have.
    """

    batch_size = 8
    joint: ClassVar[str] = " "

    def __init__(
        self,
        *args: Any,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        generation: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        if not isinstance(self.model, EncoderDecoderModel):
            wanted, found = "an encoder and a decoder of text", type(self.model).__name__
            raise ModelError(f"{args[0] if args else 'ref'}: expected {wanted}, found {found}")
        given = {**(generation or {}), "num_beams": num_beams, "max_new_tokens": max_new_tokens}
        self.generation = {name: value for name, value in given.items() if value is not None}
        GenerationConfig().with_options(**self.generation)  # told now, not by each item

    @property
    def limit(self) -> int:
        """How many tokens a part may have, special ones included."""
        return longest(self.tokenizer, self.model.config) or MOST_TOKENS

    def wrapped(self, text: str) -> list[int]:
        """The ids of a text with what stands around it."""
        return self.tokenizer.encode(text)

    def sources(self, text: str, options: Mapping[str, Any], wrapped: Any = None) -> list[Source]:
        """A text in parts that the model takes."""
        wrap = wrapped or self.wrapped
        found = parts(text, lambda part: len(wrap(part)), self.limit)
        return [Source(wrap(part), options) for part in found]

    @staticmethod
    def weigh(prepared: Prepared) -> int:
        """How much there is to read."""
        return sum(len(part.ids) for part in prepared if isinstance(part, Source))

    def compute(self, prepared: Sequence[Prepared]) -> Sequence[str]:
        """The answers: what the parts of each item became, joined."""
        every = [part for item in prepared for part in item if isinstance(part, Source)]
        order = sorted(range(len(every)), key=lambda i: (str(every[i].options), len(every[i].ids)))
        written: dict[int, str] = {}
        for batch in _batches(order, every, self.batch_size):
            texts = self._write([every[i] for i in batch])
            written.update(zip(batch, texts, strict=True))
        answers = iter(written[index] for index in range(len(every)))
        return [
            "".join(part if isinstance(part, str) else next(answers) for part in item)
            for item in prepared
        ]

    def _write(self, batch: Sequence[Source]) -> Iterable[str]:
        width, pad = max(len(part.ids) for part in batch), self.tokenizer.pad_id or 0
        rows = [[*part.ids, *[pad] * (width - len(part.ids))] for part in batch]
        kept = [[1] * len(part.ids) + [0] * (width - len(part.ids)) for part in batch]
        model: Any = self.model
        options = {**self._lengths(), **batch[0].options, **self.generation}
        if "max_new_tokens" in self.generation:  # the more particular one counts
            options["max_length"] = None
        mask = {} if len(batch) == 1 else {"attention_mask": tensor(kept)}
        found = model.generate(tensor(rows), **mask, **options)
        return [self.tokenizer.decode(ids).strip() for ids in found.tolist()]

    def _lengths(self) -> dict[str, Any]:
        model: Any = self.model
        own: GenerationConfig = model.generation_config
        told = own.max_length is not None or own.max_new_tokens is not None
        return {} if told else {"max_new_tokens": self.limit}


def _batches(order: list[int], every: Sequence[Source], size: int) -> Iterable[list[int]]:
    """Parts of one kind of generation together, at most `size` of them."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == size or every[index].options != every[batch[0]].options):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def told_for(values: object) -> dict[str, Any]:
    """What a checkpoint says of one task's generation, beside its prefix."""
    names = set(field_names(GenerationConfig))
    listed = values if isinstance(values, Mapping) else {}
    return {name: value for name, value in listed.items() if name in names and value is not None}
