"""Context shifting: answers that go on where the context is full, without tokens of the middle."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.generate.prefill import Prefill
from tallow.generate.protocol import Generative
from tallow.generate.sampling import SamplingParams
from tallow.models.states import State
from tallow.text import Tokenizer


def kept(
    params: SamplingParams, prompt: list[int] | None, context: int, tokenizer: Tokenizer | None
) -> int | None:
    """How many of the first tokens a shift keeps, of -1 the prompt; None where there is none.

    What the tokenizer begins texts with is kept, too, if this one begins with it.

    Raises:
        ArgumentError: they are more than half of the context, or the prompt is not ids (None).
    """
    keep = params.context_shift
    if keep is None:
        return None
    if prompt is None:
        raise ArgumentError("context_shift: expected a prompt of ids, got pictures or vectors")
    keep = len(prompt) if keep < 0 else min(keep, len(prompt))
    if tokenizer is not None and prompt[:1] == [tokenizer.bos_id]:
        keep = max(keep, 1)
    wanted = f"at most half of the context of {context} to be kept"
    expect(2 * keep <= context, "context_shift", wanted, f"{keep} tokens", ArgumentError)
    return keep


def shift(model: Generative, state: State, keep: int) -> None:
    """Let the state hold the first `keep` tokens and the later half of what comes behind them.

    They are read anew, so that the model is told nothing of what was dropped, whatever it makes of
    positions; llama.cpp turns the keys that it has. A shift is a prompt of at most a context, and
    as many tokens as half of that follow before the next.
    """
    held = list(state.tokens[0])
    dropped = max((len(held) - keep) // 2, 1)
    left = held[:keep] + held[keep + dropped :]
    state.trim(keep)
    fed = Prefill(model, state, [left])
    while not fed.ended:
        fed.step()
