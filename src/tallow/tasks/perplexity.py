"""How well a language model predicts a text."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32, i64
from tallow.factories import arange, tensor
from tallow.generate import refuse_non_finite
from tallow.models import CausalLM
from tallow.ops import log_softmax

CHUNK = 128  # rows of logits at a time: a whole window would be 100 MB for a vocabulary of 49152


@inference_mode()
def negative_log_likelihood(
    model: CausalLM, ids: Sequence[int], *, window: int, cache_dtype: DType | str = f32
) -> tuple[float, int]:
    """The summed negative log-likelihood (natural) of `ids`, and how many tokens were scored.

    The ids are cut into windows that do not overlap; the first of each is given, not scored.
    """
    state = model.make_state(1, window, cache_dtype)
    total, scored = 0.0, 0
    for begin in range(0, len(ids) - 1, window):
        part = ids[begin : begin + window]
        state.reset()
        # The last id of a window predicts nothing within it.
        for at in range(0, len(part) - 1, CHUNK):
            given = part[at : min(at + CHUNK, len(part) - 1)]
            targets = part[at + 1 : at + 1 + len(given)]
            logits = model(tensor([list(given)], dtype=i64), state=state).logits[0]
            refuse_non_finite(logits)
            rows = arange(0, len(given), dtype=i64)
            scores = log_softmax(logits, -1)[rows, tensor(list(targets), dtype=i64)]
            total -= float(scores.sum().item())
            scored += len(given)
    return total, scored
