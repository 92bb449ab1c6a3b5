"""The probabilities that tokens are drawn with, and the rejection rule for tokens of a draft."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.dtype import i64
from tallow.factories import full, tensor
from tallow.ops import sample, softmax, topk, where
from tallow.tensor import Tensor

if TYPE_CHECKING:
    import random

    from tallow.generate.sampling import SamplingParams


def probabilities(logits: Tensor, history: Sequence[int], params: SamplingParams) -> Tensor:
    """What `ops.sample` draws from `logits` `(vocab_size,)` with, at a temperature above 0."""
    x = _penalised(logits, history, params) if params.penalised and history else logits
    size = x.shape[0]
    best = x.amax(-1)
    count = params.top_k if 0 < params.top_k < size else size
    if count < size or params.top_p < 1:
        values, order = topk(x, count)
        if params.top_p < 1:
            before = softmax(values, -1).cumsum(-1)[:-1]  # all but the first have some before them
            out = before.ge(params.top_p)
            values[1:] = values[1:].masked_fill(out, -math.inf)
        x = full((size,), -math.inf).index_copy(0, order, values)
    if params.min_p > 0:
        x = x.masked_fill(x.lt(best + math.log(params.min_p)), -math.inf)
    return softmax((x - best) / params.temperature, -1)


def _penalised(logits: Tensor, history: Sequence[int], params: SamplingParams) -> Tensor:
    counts = Counter(history)
    ids = tensor(list(counts), dtype=i64)
    off = [n * params.frequency_penalty + params.presence_penalty for n in counts.values()]
    r, values = params.repetition_penalty, logits.index_select(0, ids)
    return logits.index_copy(0, ids, where(values.gt(0), values / r, values * r) - tensor(off))


def judged(guess: int, drafted: Tensor, wanted: Tensor, draws: random.Random) -> int:
    """The guess, drawn by `drafted`, or another token, so that it is as if drawn by `wanted`.

    The guess is kept with the probability wanted / drafted, where that is less than 1; else the
    token is drawn from what `wanted` has beyond `drafted` (arXiv 2211.17192, 2302.01318).
    """
    if draws.random() * drafted[guess].item() < wanted[guess].item():
        return guess
    rest = (wanted - drafted).clamp(min=0.0)
    if not rest.amax(-1).item() > 0:  # equal but for rounding
        return guess
    none = tensor([], dtype=i64)
    return int(sample(rest.log(), none, 1.0, random=draws.random()).item())
