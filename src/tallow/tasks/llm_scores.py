"""What an LLM says of given texts: logits after each token, and perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, i64
from tallow.errors import ArgumentError, ContextError, expect
from tallow.factories import tensor
from tallow.generate import (
    Result,
    SamplingOptions,
    SamplingParams,
    refuse_non_finite,
    token_ids,
)
from tallow.lazy_dataclasses import replace
from tallow.tasks.perplexity import negative_log_likelihood
from tallow.tensor import Tensor


class Scoring:
    """The part of `LLM` that scores; the other part has the model."""

    model: Any
    tokenizer: Any
    cache_dtype: DType
    generate_batch: Any

    def samples(
        self,
        prompt: str | Sequence[int],
        n: int,
        params: SamplingParams | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[Result]:
        """`n` answers drawn for one prompt, that of the highest mean log-probability first.

        With a `seed`, the i-th is drawn with `seed + i`. Each has its `logprobs`.

        Raises:
            ArgumentError: `n` below 1, or a temperature of 0, which draws nothing.
            ContextError, NonFiniteError: as `generate`.
        """
        good = type(n) is int and n >= 1
        expect(good, Scoring.samples, "n of at least 1", repr(n), ArgumentError)
        chosen = SamplingParams.of(params, options)
        wanted = "a temperature above 0, to draw"
        expect(chosen.temperature > 0, Scoring.samples, wanted, chosen.temperature, ArgumentError)
        each = [
            replace(
                chosen,
                logprobs=chosen.logprobs or 0,
                seed=None if chosen.seed is None else chosen.seed + i,
            )
            for i in range(n)
        ]
        found: list[Result] = self.generate_batch([prompt] * n, each)
        return sorted(found, key=_mean_logprob, reverse=True)

    @inference_mode()
    def logits(self, ids: Sequence[int]) -> Tensor:
        """Logits after each of `ids`, as generation computes them: `(length, vocab_size)`, float32.

        Raises:
            ContextError: more ids than the context.
            NonFiniteError: the model computes NaN or infinity.
        """
        given = token_ids(ids, "logits")
        expect(len(given) > 0, Scoring.logits, "at least one id", "none", ArgumentError)
        state = self.model.make_state(1, len(given), self.cache_dtype)
        found: Tensor = self.model(tensor([given], dtype=i64), state=state).logits[0]
        refuse_non_finite(found)
        return found

    def perplexity(self, text: str, *, window: int | None = None) -> float:
        """`exp` of the mean negative log-likelihood of each token of `text` but the first.

        The text is cut into windows of `window` tokens (None: 512, or the context where that is
        less) that do not overlap; the first token of each is given and not scored.

        Raises:
            ArgumentError: fewer than two tokens.
            ContextError: the window exceeds the context.
            NonFiniteError: the model computes NaN or infinity.
        """
        context = self.model.context
        window = min(512, context) if window is None else window
        expect(type(window) is int, Scoring.perplexity, "a window of tokens", window, ArgumentError)
        expect(window >= 2, Scoring.perplexity, "a window of at least 2", window, ArgumentError)
        if window > context:
            raise ContextError(f"perplexity: expected a window up to {context}, got {window}")
        ids = self.tokenizer.encode(text)
        expect(len(ids) >= 2, Scoring.perplexity, "at least two tokens", len(ids), ArgumentError)
        total, scored = negative_log_likelihood(
            self.model, ids, window=window, cache_dtype=self.cache_dtype
        )
        return math.exp(total / scored)


def _mean_logprob(result: Result) -> float:
    values = [each.logprob for each in result.logprobs]
    return sum(values) / len(values) if values else -math.inf
