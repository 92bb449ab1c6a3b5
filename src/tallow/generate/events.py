"""What the decoding loop reports: progress through the prompt, pieces of text, the result."""

from __future__ import annotations

from typing import Literal

from tallow.generate.logprobs import TokenLogprob
from tallow.lazy_dataclasses import dataclass

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of the prompt's `total` tokens are in the cache."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One token was chosen; `text` is what became certain by it, possibly nothing.

    Text is held back while it ends inside a character or may be the beginning of a stop string.
    What is still held back at the end comes as one more piece, whose `token` is None.
    """

    text: str
    token: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """A finished answer.

    `tokens` are the ids chosen, without the end token; `finish_reason` is "stop" (end token or
    stop string), "length" (`max_tokens` or the context) or "cancelled". `cached_tokens` of the
    prompt's were in the cache before. `prefill_s` is the time to the first token's logits,
    `decode_s` that of all later steps; the time that the consumer takes counts in neither.
    Of `drafted_tokens` guesses by speculation, `accepted_tokens` are part of the answer.
    `logprobs` are those of `tokens`, if they were asked for.
    """

    text: str
    tokens: tuple[int, ...]
    prompt_tokens: int
    cached_tokens: int
    finish_reason: FinishReason
    prefill_s: float
    decode_s: float
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()

    def __str__(self) -> str:
        return self.text


Event = Progress | Piece | Result
