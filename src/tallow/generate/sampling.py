"""Sampling parameters, checked when they are made, and the sampler that follows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from tallow.dtype import i64
from tallow.errors import ArgumentError, NonFiniteError, expect
from tallow.factories import tensor
from tallow.generate.processors import (
    Ends,
    Processor,
    Step,
    apply,
    bad_words,
    is_id_lists,
    is_ids,
    min_new_tokens,
    no_repeat_ngram,
    sequence_bias,
    suppress,
    suppress_at_begin,
    typical_p,
)
from tallow.generate.rejection import judged, probabilities
from tallow.lazy_dataclasses import dataclass, field, field_names, replace
from tallow.ops import argmax, sample
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from random import Random


class SamplingOptions(TypedDict, total=False):
    """The fields of `SamplingParams` as keyword arguments."""

    max_tokens: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_window: int
    no_repeat_ngram_size: int
    bad_words_ids: Sequence[Sequence[int]]
    suppress_tokens: Sequence[int]
    begin_suppress_tokens: Sequence[int]
    logit_bias: Mapping[int, float]
    min_tokens: int
    seed: int | None
    stop: Sequence[str] | str
    ignore_eos: bool
    json_schema: Any
    regex: str | None
    grammar: str | None
    logprobs: int | None
    context_shift: int | None


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen and when to end; the defaults choose the most likely one.

    - `max_tokens`: how many at most; None: until the context is full.
    - `context_shift`: go on when it is full, without the first half of what stands behind so many
      first tokens (-1: the prompt); None: the answer ends there.
    - `temperature`: divides the logits; 0 is greedy.
    - `top_k`: only the k most likely (0: all); `top_p`: only the most likely that make up this
      probability (1: all); `min_p`: only those above this share of the likeliest's (0: all);
      `typical_p`: only those whose surprise is nearest to the expected one, up to this
      probability (1: all).
    - `repetition_penalty`: divides positive and multiplies negative logits of tokens in the
      window (arXiv 1909.05858; 1: none); `frequency_penalty` is subtracted once per occurrence,
      `presence_penalty` once for each token that occurs (0: none).
    - `penalty_window`: how many of the last tokens, prompt included, the penalties see (-1: all).
    - `no_repeat_ngram_size`: no run of so many tokens twice, prompt included (0: any);
      `bad_words_ids`: sequences that are never written; `suppress_tokens`: ids that are never
      chosen, `begin_suppress_tokens` not as the first; `logit_bias`: what is added to logits.
    - `min_tokens`: no end token before so many.
    - `seed`: makes the draws reproducible; None: a fresh one each time.
    - `stop`: texts that end the answer and are not part of it.
    - `ignore_eos`: go on after the model's own end token.
    - `json_schema`: a JSON schema that the answer satisfies (an object, its text, or a class with
      `model_json_schema`); `regex`: an expression that matches it; `grammar`: rules of llguidance's
      Lark or llama.cpp's GBNF that derive it. One of them; the answer ends where it is complete.
    - `logprobs`: give the log-probability of each token, and of so many of the likeliest.

    Raises:
        ArgumentError: a value is out of range.
    """

    max_tokens: int | None = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    no_repeat_ngram_size: int = 0
    bad_words_ids: Sequence[Sequence[int]] = ()
    suppress_tokens: Sequence[int] = ()
    begin_suppress_tokens: Sequence[int] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)
    min_tokens: int = 0
    seed: int | None = None
    stop: Sequence[str] | str = ()
    ignore_eos: bool = False
    json_schema: Any = None
    regex: str | None = None
    grammar: str | None = None
    logprobs: int | None = None
    context_shift: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        elif isinstance(self.stop, Sequence):
            object.__setattr__(self, "stop", tuple(self.stop))
        for name, (kinds, low, high, wanted) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in ("max_tokens", "seed", "logprobs", "context_shift"):
                continue
            good = isinstance(value, kinds) and not isinstance(value, bool)
            good = good and math.isfinite(value) and low <= value <= high
            expect(good, f"SamplingParams.{name}", wanted, repr(value), ArgumentError)
        positive = self.repetition_penalty > 0
        where = "SamplingParams.repetition_penalty"
        expect(positive, where, "a number above 0", self.repetition_penalty, ArgumentError)
        for name, (valid, wanted) in _KINDS.items():
            value = getattr(self, name)
            shown = repr(value)[:80]
            expect(valid(value), f"SamplingParams.{name}", wanted, shown, ArgumentError)
            if not isinstance(value, Mapping):  # so that params are hashable, whatever was given
                rows = (tuple(each) if isinstance(each, Sequence) else each for each in value)
                object.__setattr__(self, name, tuple(rows))
        self._check_constraint()
        texts = isinstance(self.stop, tuple) and all(isinstance(s, str) and s for s in self.stop)
        expect(texts, "SamplingParams.stop", "non-empty strings", self.stop, ArgumentError)

    def _check_constraint(self) -> None:
        if self.json_schema is not None:
            from tallow.generate.constraints import schema_text

            object.__setattr__(self, "json_schema", schema_text(self.json_schema))
        names = ("json_schema", "regex", "grammar")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        where, one = "SamplingParams", " or ".join(names)
        expect(len(given) < 2, where, f"one of {one}", f"{len(given)}", ArgumentError)
        for name, text in given.items():
            good = isinstance(text, str) and 0 < len(text) <= _MAX_CONSTRAINT
            wanted = f"a text of at most {_MAX_CONSTRAINT} characters"
            expect(good, f"{where}.{name}", wanted, repr(text)[:80], ArgumentError)

    @classmethod
    def of(cls, params: SamplingParams | None, options: SamplingOptions) -> SamplingParams:
        """`params` with `options` in the place of their fields.

        Raises:
            ArgumentError: an unknown name, or a value out of range.
        """
        good = params is None or isinstance(params, SamplingParams)
        expect(good, "params", "SamplingParams or None", type(params).__name__, ArgumentError)
        unknown = options.keys() - _NAMES
        known = f"names of {sorted(_NAMES)}"
        expect(not unknown, "sampling parameters", known, sorted(unknown), ArgumentError)
        return replace(params or cls(), **options)

    @property
    def penalised(self) -> bool:
        """Whether any penalty is set."""
        neutral = self.repetition_penalty == 1 and not self.frequency_penalty
        return not neutral or bool(self.presence_penalty)

    def processors(self, ends: Collection[int]) -> list[Processor]:
        """What changes the logits before a token is drawn by the other parameters."""
        eos = Ends(tuple(ends))
        biases = [((token,), float(bias)) for token, bias in self.logit_bias.items()]
        rows: list[tuple[Any, Callable[[], Processor]]] = [
            (biases, lambda: sequence_bias(biases, eos)),
            (self.no_repeat_ngram_size, lambda: no_repeat_ngram(self.no_repeat_ngram_size, eos)),
            (self.bad_words_ids, lambda: bad_words(self.bad_words_ids, eos)),
            (self.min_tokens, lambda: min_new_tokens(self.min_tokens, eos)),
            (self.suppress_tokens, lambda: suppress(self.suppress_tokens, eos)),
            (self.begin_suppress_tokens, lambda: suppress_at_begin(self.begin_suppress_tokens, 0)),
            (self.typical_p < 1 and self.temperature, lambda: typical_p(self.typical_p, eos)),
        ]
        return [make() for wanted, make in rows if wanted]


_NAMES = frozenset(field_names(SamplingParams))
_MAX_CONSTRAINT = 1 << 20
_ANY = float("inf")
_RANGES: dict[str, tuple[Any, float, float, str]] = {
    "max_tokens": (int, 1, _ANY, "an integer of at least 1, or None"),
    "temperature": (int | float, 0, _ANY, "a number of at least 0"),
    "top_k": (int, 0, 2**31 - 1, "an integer from 0 to 2147483647"),
    "top_p": (int | float, 0, 1, "a number from 0 to 1"),
    "min_p": (int | float, 0, 1, "a number from 0 to 1"),
    "typical_p": (int | float, 0, 1, "a number from 0 to 1"),
    "no_repeat_ngram_size": (int, 0, _ANY, "an integer of at least 0"),
    "min_tokens": (int, 0, _ANY, "an integer of at least 0"),
    "repetition_penalty": (int | float, 0, _ANY, "a number above 0"),
    "frequency_penalty": (int | float, -_ANY, _ANY, "a finite number"),
    "presence_penalty": (int | float, -_ANY, _ANY, "a finite number"),
    "penalty_window": (int, -1, _ANY, "an integer of at least -1"),
    "logprobs": (int, 0, 2**31 - 1, "an integer of at least 0, or None"),
    "seed": (int, -_ANY, _ANY, "an integer, or None"),
    "context_shift": (int, -1, _ANY, "an integer of at least -1, or None"),
}
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bad_words_ids": (is_id_lists, "lists of token ids"),
    "suppress_tokens": (is_ids, "token ids"),
    "begin_suppress_tokens": (is_ids, "token ids"),
    "logit_bias": (
        lambda x: (
            isinstance(x, Mapping)
            and is_ids(list(x))
            and all(isinstance(v, int | float) and not math.isnan(v) for v in x.values())
        ),
        "numbers by token id",
    ),
}


def refuse_non_finite(logits: Tensor) -> None:
    """Raise NonFiniteError unless all logits of a model are numbers; costs one sum."""
    if not _is_finite(logits):
        advice = "TALLOW_CHECK=nan names the layer that first makes one"
        raise NonFiniteError(f"logits are not finite: the model computed NaN or infinity; {advice}")


def refuse_no_choice(scores: Tensor) -> None:
    """Raise ArgumentError where processors have ruled out every token of a row."""
    ruled_out = bool(scores.amax(-1).eq(-math.inf).any().item())
    wanted = "a token that may be chosen, after what the parameters rule out"
    expect(not ruled_out, "logits", wanted, "none", ArgumentError)


def _is_finite(logits: Tensor) -> bool:
    # A sum is finite only if all its terms are; where finite ones overflow, each is looked at.
    return math.isfinite(logits.sum().item()) or bool(logits.isfinite().all().item())


def _state_of(seed: int | None) -> int | str | None:
    """What seeds `random`, which takes a negative number for its absolute value."""
    return str(seed) if seed is not None and seed < 0 else seed


class Sampler:
    """Chooses the tokens of one answer by `params`; equal seeds and logits give equal choices.

    `ends` are the ids that end it, for `min_tokens`.
    """

    def __init__(
        self,
        params: SamplingParams | None = None,
        *,
        ends: Collection[int] = (),
        **options: Unpack[SamplingOptions],
    ):
        self.params = SamplingParams.of(params, options)
        self._processors = self.params.processors(ends)
        self._chosen = 0
        self._plain = self.params.temperature == 0 and not self.params.penalised
        self._none = tensor([], dtype=i64)

    @cached_property
    def _random(self) -> Random:
        """Random numbers, which the most likely token needs none of."""
        from random import Random

        return Random(_state_of(self.params.seed))

    @classmethod
    def greedy(cls) -> Self:
        """The most likely token, always."""
        return cls()

    def __call__(self, logits: Tensor, tokens: Sequence[int] = ()) -> int:
        """The id chosen from `logits` `(vocab_size,)`; `tokens` are those before it.

        -inf bans a token.

        Raises:
            NonFiniteError: a logit is NaN or +inf, or all are -inf.
        """
        if not _is_finite(logits):
            largest = float(logits.amax().item())  # NaN where one is
            if not math.isfinite(largest):
                raise NonFiniteError(f"logits are not finite: the largest is {largest}")
        return self.choose(logits, tokens)

    def choose(self, logits: Tensor, tokens: Sequence[int] = ()) -> int:
        """The same for logits that are known to be finite."""
        return self._pick(self._processed(logits, tokens), tokens)

    def draw(self, logits: Tensor, tokens: Sequence[int]) -> tuple[int, Tensor | None]:
        """`choose`, and the probabilities that the token was drawn with, unless it is greedy."""
        logits = self._processed(logits, tokens)
        token = self._pick(logits, tokens)
        if not self.params.temperature:
            return token, None
        return token, probabilities(logits, self._recent(tokens), self.params)

    def judge(self, logits: Tensor, tokens: Sequence[int], guess: int, drafted: Tensor) -> int:
        """`choose` by way of a guess that was drawn with other probabilities: often the guess."""
        logits = self._processed(logits, tokens)
        wanted = probabilities(logits, self._recent(tokens), self.params)
        return judged(guess, drafted, wanted, self._random)

    def fork(self) -> Sampler:
        """A sampler of the tokens to come with random numbers of its own."""
        copied = copy(self)
        copied._random = type(self._random)(self._random.getrandbits(64))
        return copied

    def _processed(self, logits: Tensor, tokens: Sequence[int]) -> Tensor:
        if self._processors:
            step = Step([tokens], self._chosen)
            logits = apply(self._processors, step, logits.unsqueeze(0)).view(-1)
            refuse_no_choice(logits)
            self._chosen += 1
        return logits

    def _pick(self, logits: Tensor, tokens: Sequence[int]) -> int:
        if self._plain:
            return int(argmax(logits, -1).item())
        p = self.params
        draw = self._random.random() if p.temperature else 0.0
        recent = self._recent(tokens)
        chosen = sample(
            logits,
            tensor(list(recent), dtype=i64) if recent else self._none,
            p.temperature,
            p.top_k,
            p.top_p,
            p.min_p,
            p.repetition_penalty,
            p.frequency_penalty,
            p.presence_penalty,
            draw,
        )
        return int(chosen.item())

    def _recent(self, tokens: Sequence[int]) -> Sequence[int]:
        """What the penalties see."""
        p = self.params
        if not p.penalised or not p.penalty_window:
            return ()
        return tokens if p.penalty_window < 0 else tokens[-p.penalty_window :]
