"""Which dtype each tensor gets in a file of some type: llama.cpp's mixes at work.

`mix_rules` has their tables; `tests/golden/mixes` holds what llama-quantize itself chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tallow.conversion.file_types import FileType
from tallow.dtype import by_name
from tallow.quantization.mix_rules import (
    FALLBACKS,
    LOW,
    LOW_RULES,
    NEEDS_IMATRIX,
    RULES,
    TOKEN_EMBEDDING_RULES,
    TOKEN_EMBEDDINGS,
    Choice,
    Facts,
    LayerPosition,
    MixRule,
    Options,
    Subject,
    is_quantizable,
    role,
)


def needs_imatrix(choice: Choice, kind: FileType) -> bool:
    """Whether llama.cpp refuses to make this tensor without an importance matrix."""
    name = choice.subject.name
    if role(name) in ("output", "token_embd") or not is_quantizable(choice.subject):
        return False
    low = choice.dtype == "q2_k" and kind.name == "q2_k_s"
    return low or choice.dtype in NEEDS_IMATRIX


def in_order(subjects: Iterable[Subject]) -> list[Subject]:
    """The order in which llama.cpp goes through a file: by layer, then by name."""
    return sorted(subjects, key=lambda subject: (layer(subject.name), subject.name.encode()))


def layer(name: str) -> int:
    """The number in `blk.7.…`, -1 for a tensor outside of the layers."""
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


class Mix:
    """The rules at work on one model: tensors are asked for in llama.cpp's order, for it counts."""

    def __init__(
        self, kind: FileType, facts: Facts, options: Options, names: Iterable[str]
    ) -> None:
        self._kind, self._facts, self._options = kind, facts, options
        roles = [role(name) for name in names]
        self._tied = "output" not in roles
        self._values = roles.count("attn_v")
        self._seen: dict[str, int] = {}

    def choose(self, subject: Subject) -> Choice:
        """The dtype of the next tensor."""
        if not is_quantizable(subject):
            return Choice(subject, subject.dtype)
        options, kind = self._options, self._kind
        part, named = role(subject.name), options.named(subject.name)
        # The per-layer table is large and separate: a rule of its own is stronger.
        by_rule = subject.name == TOKEN_EMBEDDINGS[1] and named is not None
        if part == "token_embd" and options.token_embedding is not None and not by_rule:
            return Choice(subject, options.token_embedding)
        if part == "output" and options.output is not None:
            return Choice(subject, options.output)
        if not kind.is_quantized:
            return Choice(subject, kind.base)
        if named is not None:
            chosen = named
        else:
            chosen = kind.base if options.pure else self._by_rules(subject, part)
        fitting = fitted(chosen, subject.shape[-1])
        return Choice(subject, fitting, fallback=fitting != chosen)

    def _by_rules(self, subject: Subject, part: str) -> str:
        kind, facts = self._kind, self._facts
        if part == "output" or (part == "token_embd" and self._tied):
            return self._of_output(subject)
        if kind.name == "mxfp4_moe":
            return "mxfp4" if _is_expert(subject) else "q8_0"
        if part == "token_embd":
            return self._first(TOKEN_EMBEDDING_RULES, part, LayerPosition(facts, 0, 0))
        low = kind.name in LOW.split()
        place = self._place(subject, part, low)
        chosen = self._first(LOW_RULES if low else RULES, part, place)
        if part == "attn_v" and not low:
            if facts.is_70b and chosen in ("q3_k", "q4_k"):
                chosen = "q5_k"
            if facts.experts == 8:
                chosen = "q8_0"
        return chosen

    def _of_output(self, subject: Subject) -> str:
        kind = self._kind
        if self._options.output is not None:
            return self._options.output
        ragged = subject.shape[-1] % by_name(kind.base).block != 0
        if kind.base in ("mxfp4", "nvfp4") or self._facts.architecture == "falcon" or ragged:
            return "q8_0"
        if kind.name in LOW.split() or kind.name == "iq3_xxs":
            return "q5_k"
        return "q8_0" if kind.base == "q8_0" else "q6_k"

    def _place(self, subject: Subject, part: str, low: bool) -> LayerPosition:
        index = self._seen.get(part, 0)
        self._seen[part] = index + 1
        if part == "attn_v":
            return LayerPosition(self._facts, index, self._values)
        # The experts of a layer are several tensors: there the name tells the layer.
        if self._facts.experts > 1 and not low:
            index = layer(subject.name)
        return LayerPosition(self._facts, index, self._facts.layers)

    def _first(self, rules: Sequence[MixRule], part: str, place: LayerPosition) -> str:
        name = self._kind.name
        for rule in rules:
            serves = not rule.types or name in rule.types.split()
            if rule.role == part and serves and rule.when(place):
                return rule.dtype
        return self._kind.base


def _is_expert(subject: Subject) -> bool:
    return len(subject.shape) > 2 and subject.shape[-3] > 1


def fitted(dtype: str, columns: int) -> str:
    """`dtype`, or what stands for it where rows of `columns` are no whole number of blocks."""
    if columns % by_name(dtype).block == 0:
        return dtype
    other = FALLBACKS.get(dtype, dtype)
    return other if columns % by_name(other).block == 0 else "f16"


def plan(
    subjects: Iterable[Subject], kind: FileType, facts: Facts, options: Options | None = None
) -> list[Choice]:
    """The dtype of every tensor of a model, in the order of llama.cpp's files."""
    ordered = in_order(subjects)
    mix = Mix(kind, facts, options or Options(), [subject.name for subject in ordered])
    return [mix.choose(subject) for subject in ordered]
