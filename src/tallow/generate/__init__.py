"""Generation: caches outside the model, sampling, and the decoding loop as events."""

from tallow.generate.cache import KVCache
from tallow.generate.events import Event, FinishReason, Piece, Progress, Result
from tallow.generate.loop import Cancel, generate, token_ids
from tallow.generate.sampling import (
    Sampler,
    SamplingOptions,
    SamplingParams,
    refuse_non_finite,
)

__all__ = [
    "Cancel",
    "Event",
    "FinishReason",
    "KVCache",
    "Piece",
    "Progress",
    "Result",
    "Sampler",
    "SamplingOptions",
    "SamplingParams",
    "generate",
    "refuse_non_finite",
    "token_ids",
]
