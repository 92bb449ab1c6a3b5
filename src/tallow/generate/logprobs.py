"""Log-probabilities of chosen tokens and of the likeliest, as the model alone gives them."""

from __future__ import annotations

from tallow.lazy_dataclasses import dataclass
from tallow.tensor import Tensor


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A chosen token with its log-probability, and the likeliest ones with theirs, best first.

    They are of the model's logits, before temperature, penalties and constraints.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def token_logprob(logits: Tensor, token: int, count: int) -> TokenLogprob:
    """Of a token that was chosen from `logits` `(vocabulary,)`, with the `count` likeliest."""
    from tallow.ops import log_softmax, topk  # which plain answers need not load

    found = log_softmax(logits, -1)
    top: tuple[tuple[int, float], ...] = ()
    if count:
        values, ids = topk(found, min(count, found.shape[0]))
        top = tuple(zip(map(int, ids.tolist()), map(float, values.tolist()), strict=True))
    return TokenLogprob(token, float(found[token].item()), top)
