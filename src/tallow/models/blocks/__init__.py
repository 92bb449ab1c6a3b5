"""Bricks that several model families share; each takes its sizes and its parts as sub-modules."""

from tallow.models.blocks.attention import Attention, JoinedAttention
from tallow.models.blocks.decoder import (
    POST_NORMS,
    PRE_NORMS,
    SANDWICH,
    Decoder,
    DecoderLayer,
    Norms,
    ParallelLayer,
)
from tallow.models.blocks.heads import as_mask, attend, merge_heads, split_heads
from tallow.models.blocks.mlp import GatedMlp, Mlp
from tallow.models.blocks.rope import Rope, RopeScaling

__all__ = [
    "POST_NORMS",
    "PRE_NORMS",
    "SANDWICH",
    "Attention",
    "Decoder",
    "DecoderLayer",
    "GatedMlp",
    "JoinedAttention",
    "Mlp",
    "Norms",
    "ParallelLayer",
    "Rope",
    "RopeScaling",
    "as_mask",
    "attend",
    "merge_heads",
    "split_heads",
]
