"""Generation: the decoding loop as events, sampling, logits processors, and beam search.

What a model must have is `protocol.Generative`: `make_state(batch, capacity, dtype)`, whose layers'
states stand in `tallow.models.states`; `decode(ids, state, embeds=None)`, the hidden states of
tokens that come after what the state holds; and `head(hidden)`, their logits. A decoder behind an
encoder has `attend_to(state, context, mask)` besides, which fills the `Cross` states of its layers
(`Attention.fill` does it for one), so that `decode` needs no context:

    state = model.make_state(batch)            # [SelfAndCross(KeyValue(…), Cross()), …] as layers
    model.attend_to(state, encoder_output, mask)
    state.reserve(n); model.decode(ids, state); state.commit(n)

`generate` and `generate_rows` sample texts and tell events; `search` gives whole sequences as
transformers' `generate` does, by a `GenerationConfig`. All of them reserve and commit themselves;
rows never hold padding, so positions are `state.positions(n)` whatever the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.generate.events import Event, FinishReason, Piece, Progress, Result
from tallow.generate.given import token_ids
from tallow.generate.loop import Cancel, RowEvent, generate, generate_rows
from tallow.generate.protocol import ContextGenerative, Generative
from tallow.generate.sampling import (
    Sampler,
    SamplingOptions,
    SamplingParams,
    refuse_non_finite,
)
from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.generate.config import GenerationConfig
    from tallow.generate.sequences import Generated, search

__all__ = [
    "Cancel",
    "ContextGenerative",
    "Event",
    "FinishReason",
    "Generated",
    "GenerationConfig",
    "Generative",
    "Piece",
    "Progress",
    "Result",
    "RowEvent",
    "Sampler",
    "SamplingOptions",
    "SamplingParams",
    "generate",
    "generate_rows",
    "refuse_non_finite",
    "search",
    "token_ids",
]

# What `LLM` does without is imported when it is asked for.
_HOMES = {"GenerationConfig": "config", "Generated": "sequences", "search": "sequences"}

__getattr__, __dir__ = names_of(globals(), _HOMES)
