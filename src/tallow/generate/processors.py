"""Logits processors with transformers' meanings: scores of all rows in, changed ones out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass
from tallow.ops import log_softmax, softmax, topk, where
from tallow.ops import sort as sorted_values
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Step:
    """Where the rows stand: all ids of each, prompt included, and how many of them are new."""

    ids: Sequence[Sequence[int]]
    new: int


Processor = Callable[[Step, Tensor], Tensor]  # scores are (rows, vocab_size) of f32


@dataclass(frozen=True)
class Ends:
    """What processors need to know of a run: its end tokens, its limit, tokens to keep at least."""

    eos: Sequence[int] = ()
    max_new: int | None = None
    keep: int = 1


# --- tokens that are ruled out, or all that are left ----------------------------------------------


def _without(scores: Tensor, tokens: Sequence[Iterable[int]], value: float = -math.inf) -> Tensor:
    """`scores` with `value` for these tokens of each row; ids beyond the vocabulary are none."""
    size = scores.shape[-1]
    flat = [row * size + t for row, ids in enumerate(tokens) for t in ids if 0 <= t < size]
    if not flat:
        return scores
    out = scores.clone()
    out.view(-1).index_fill_(0, tensor(flat, dtype=i64), value)
    return out


def _forced(scores: Tensor, tokens: Sequence[Sequence[int] | None]) -> Tensor:
    """`scores` that leave these tokens alone in each row; None changes nothing."""
    chosen = [row for row, ids in enumerate(tokens) if ids is not None]
    if not chosen:
        return scores
    size = scores.shape[-1]
    beyond = next((t for ids in tokens for t in ids or () if t >= size), None)
    expect(beyond is None, "forced token", f"ids from 0 to {size - 1}", beyond, ArgumentError)
    out = scores.clone()
    out.index_fill_(0, tensor(chosen, dtype=i64), -math.inf)
    return _without(out, [ids or () for ids in tokens], 0.0)


def suppress(tokens: Sequence[int], _: Ends) -> Processor:
    """Never these."""
    return lambda step, scores: _without(scores, [tokens] * len(step.ids))


def suppress_at_begin(tokens: Sequence[int], begin: int) -> Processor:
    """Not these as the token number `begin` of the answer."""
    return lambda step, scores: (
        _without(scores, [tokens] * len(step.ids)) if step.new == begin else scores
    )


def forced_bos(token: int, _: Ends) -> Processor:
    """This token after the first."""
    return lambda step, scores: _forced(
        scores, [[token] if len(ids) == 1 else None for ids in step.ids]
    )


def forced_eos(token: int | Sequence[int], ends: Ends) -> Processor:
    """These as the last token that the limit allows."""
    tokens = [token] if isinstance(token, int) else list(token)
    last = None if ends.max_new is None else ends.max_new - 1
    return lambda step, scores: (
        _forced(scores, [tokens] * len(step.ids)) if step.new == last else scores
    )


def forced_decoder_ids(pairs: Sequence[Sequence[int]], _: Ends) -> Processor:
    """`[[place, token], …]`: these tokens at these places of the whole sequence."""
    forced = {place: [token] for place, token in pairs}
    return lambda step, scores: _forced(scores, [forced.get(len(ids)) for ids in step.ids])


def min_length(length: int, ends: Ends) -> Processor:
    """No end before the whole sequence has this length."""
    return lambda step, scores: _without(
        scores, [ends.eos if len(ids) < length else () for ids in step.ids]
    )


def min_new_tokens(count: int, ends: Ends) -> Processor:
    """No end before there are so many new tokens."""
    return lambda step, scores: (
        _without(scores, [ends.eos] * len(step.ids)) if step.new < count else scores
    )


def no_repeat_ngram(size: int, _: Ends) -> Processor:
    """Nothing that would repeat a run of `size` tokens."""

    def banned(ids: Sequence[int]) -> set[int]:
        before = list(ids[len(ids) - size + 1 :])
        starts = range(len(ids) - size + 1)
        return {ids[i + size - 1] for i in starts if list(ids[i : i + size - 1]) == before}

    return lambda step, scores: _without(scores, [banned(ids) for ids in step.ids])


def sequence_bias(pairs: Sequence[tuple[Sequence[int], float]], _: Ends) -> Processor:
    """Added to the last token of each sequence where what is before it has been written."""
    known = {tuple(ids): bias for ids, bias in pairs}

    def process(step: Step, scores: Tensor) -> Tensor:
        size = scores.shape[-1]
        beyond = [token for ids in known for token in ids if not 0 <= token < size]
        expect(not beyond, "sequence_bias", f"ids from 0 to {size - 1}", beyond, ArgumentError)
        added: dict[int, float] = {}
        for row, ids in enumerate(step.ids):
            for sequence, bias in known.items():
                *before, last = sequence
                if len(before) <= len(ids) and list(ids[len(ids) - len(before) :]) == before:
                    at = row * size + last
                    added[at] = added.get(at, 0.0) + bias
        return _changed(scores, added, lambda old, amounts: old + amounts)

    return process


def bad_words(sequences: Sequence[Sequence[int]], ends: Ends) -> Processor:
    """None of these sequences; an end token alone is not one."""
    kept = [ids for ids in sequences if not (len(ids) == 1 and ids[0] in ends.eos)]
    return sequence_bias([(ids, -math.inf) for ids in kept], ends)


# --- scores that are changed ----------------------------------------------------------------------


def repetition_penalty(penalty: float, _: Ends) -> Processor:
    """Positive scores of tokens that stand in the row divided by it, negative ones multiplied."""

    def process(step: Step, scores: Tensor) -> Tensor:
        size = scores.shape[-1]
        seen = {row * size + t: 0.0 for row, ids in enumerate(step.ids) for t in ids if t < size}
        return _changed(scores, seen, lambda x, _: where(x.lt(0), x * penalty, x / penalty))

    return process


def exponential_decay(setting: Sequence[float], ends: Ends) -> Processor:
    """`(start, factor)`: from `start` new tokens on, the end becomes likelier at each."""
    start, factor = setting

    def process(step: Step, scores: Tensor) -> Tensor:
        if step.new <= start:
            return scores
        size, growth = scores.shape[-1], factor ** (step.new - start) - 1
        eos = [token for token in ends.eos if token < size]
        at = {row * size + token: 0.0 for row in range(len(step.ids)) for token in eos}
        return _changed(scores, at, lambda x, _: where(x.isfinite(), x + x.abs() * growth, x))

    return process


def renormalize(_: bool, __: Ends) -> Processor:
    """Log-probabilities again."""
    return lambda step, scores: log_softmax(scores, -1)


def remove_invalid(_: bool, __: Ends) -> Processor:
    """Numbers for NaN and the infinities."""
    return lambda step, scores: scores.nan_to_num(0.0)


# --- what sampling draws from ---------------------------------------------------------------------


def temperature(value: float, _: Ends) -> Processor:
    """Divides the scores."""
    return lambda step, scores: scores / value


def top_k(count: int, ends: Ends) -> Processor:
    """Only the likeliest."""

    def process(step: Step, scores: Tensor) -> Tensor:
        k = min(max(count, ends.keep), scores.shape[-1])
        return _ruled_out(scores, scores.lt(topk(scores, k, -1)[0][:, -1:]))

    return process


def top_p(mass: float, ends: Ends) -> Processor:
    """Only the likeliest that make up this probability."""

    def process(step: Step, scores: Tensor) -> Tensor:
        values, order = sorted_values(scores, -1)
        out = softmax(values, -1).cumsum(-1).le(1 - mass)
        out[:, -ends.keep :] = False
        return _ruled_out(scores, out.gather(-1, order.argsort(-1)))

    return process


def min_p(share: float, ends: Ends) -> Processor:
    """Only those of at least this share of the likeliest's probability."""

    def process(step: Step, scores: Tensor) -> Tensor:
        p = softmax(scores, -1)
        return _kept_best(scores, p.lt(p.amax(-1, keepdim=True) * share), ends.keep)

    return process


def typical_p(mass: float, ends: Ends) -> Processor:
    """Those whose surprise is nearest to the expected one, up to this mass (arXiv 2202.00666)."""

    def process(step: Step, scores: Tensor) -> Tensor:
        logs = log_softmax(scores, -1)
        p = logs.exp()
        entropy = -where(p.eq(0), 0.0, logs * p).sum(-1, keepdim=True)
        distance, order = sorted_values((-logs - entropy).abs(), -1)
        held = softmax(scores.gather(-1, order), -1).cumsum(-1)
        last = held.lt(mass).to(i64).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        out = distance.gt(distance.gather(-1, last))
        out[:, : ends.keep] = False
        return _ruled_out(scores, out.gather(-1, order.argsort(-1)))

    return process


def epsilon_cutoff(epsilon: float, ends: Ends) -> Processor:
    """Only those of at least this probability."""
    return lambda step, scores: _kept_likeliest(scores, softmax(scores, -1).lt(epsilon), ends.keep)


def eta_cutoff(epsilon: float, ends: Ends) -> Processor:
    """The same with a bound that falls with the entropy (arXiv 2210.15191)."""

    def process(step: Step, scores: Tensor) -> Tensor:
        logs = log_softmax(scores, -1)
        p = logs.exp()
        entropy = -where(p.eq(0), 0.0, logs * p).sum(-1, keepdim=True)
        bound = ((-entropy).exp() * math.sqrt(epsilon)).clamp(max=epsilon)
        return _kept_likeliest(scores, p.lt(bound), ends.keep)

    return process


def _kept_best(scores: Tensor, out: Tensor, keep: int) -> Tensor:
    best = topk(scores, min(keep, scores.shape[-1]), -1)[1]
    return _ruled_out(scores, out.scatter(-1, best, False))


def _kept_likeliest(scores: Tensor, out: Tensor, keep: int) -> Tensor:
    least = topk(scores, min(keep, scores.shape[-1]), -1)[0][:, -1:]
    return _ruled_out(scores, out.logical_and(scores.lt(least)))


def _ruled_out(scores: Tensor, out: Tensor) -> Tensor:
    return scores.masked_fill(out, -math.inf)


def _changed(
    scores: Tensor, amounts: Mapping[int, float], change: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """`scores` with `change(old, amount)` at flat places."""
    if not amounts:
        return scores
    at = tensor(list(amounts), dtype=i64)
    out = scores.clone()
    flat = out.view(-1)
    flat.index_copy_(0, at, change(flat[at], tensor(list(amounts.values()), dtype=scores.dtype)))
    return out


# What a field of a generation config makes, in transformers' order; those of SAMPLING count where
# tokens are drawn. A value at which it does nothing makes none.
Maker = Callable[[Any, Ends], Processor]
PROCESSORS: dict[str, tuple[Maker, tuple[Any, ...]]] = {
    "sequence_bias": (sequence_bias, (None,)),
    "repetition_penalty": (repetition_penalty, (None, 1.0)),
    "no_repeat_ngram_size": (no_repeat_ngram, (None, 0)),
    "bad_words_ids": (bad_words, (None,)),
    "min_length": (min_length, (None, 0)),
    "min_new_tokens": (min_new_tokens, (None, 0)),
    "forced_bos_token_id": (forced_bos, (None,)),
    "forced_eos_token_id": (forced_eos, (None,)),
    "remove_invalid_values": (remove_invalid, (None, False)),
    "exponential_decay_length_penalty": (exponential_decay, (None,)),
    "suppress_tokens": (suppress, (None,)),
    "forced_decoder_ids": (forced_decoder_ids, (None,)),
}
SAMPLING: dict[str, tuple[Maker, tuple[Any, ...]]] = {
    "temperature": (temperature, (None, 1.0)),
    "top_k": (top_k, (None, 0)),
    "top_p": (top_p, (None, 1.0)),
    "min_p": (min_p, (None,)),
    "typical_p": (typical_p, (None, 1.0)),
    "epsilon_cutoff": (epsilon_cutoff, (None, 0.0)),
    "eta_cutoff": (eta_cutoff, (None, 0.0)),
}


def is_ids(value: object) -> bool:
    """Whether it is a sequence of token ids."""
    good = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return good and all(type(token) is int and token >= 0 for token in value)  # type: ignore[attr-defined]


def is_id_lists(value: object) -> bool:
    """Whether it is a sequence of sequences of token ids, none of them empty."""
    return isinstance(value, Sequence) and all(is_ids(ids) and len(ids) > 0 for ids in value)


def apply(processors: Iterable[Processor], step: Step, scores: Tensor) -> Tensor:
    """One after the other."""
    for process in processors:
        scores = process(step, scores)
    return scores
