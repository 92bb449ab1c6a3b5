"""Generation: caches outside the model, sampling, and the decoding loop as events."""

from tallow.generate.config import GenerationConfig
from tallow.generate.events import Event, FinishReason, Piece, Progress, Result
from tallow.generate.loop import Cancel, RowEvent, generate, generate_rows, token_ids
from tallow.generate.protocol import ContextGenerative, Generative
from tallow.generate.sampling import (
    Sampler,
    SamplingOptions,
    SamplingParams,
    refuse_non_finite,
)
from tallow.generate.search import Generated, search

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
