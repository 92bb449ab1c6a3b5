"""Bricks that several model families share; each takes its sizes and its parts as sub-modules."""

from tallow.models.blocks.attention import Attention, JoinedAttention
from tallow.models.blocks.decoder import (
    DECODER_NAMES,
    LAYER_NAMES,
    POST_NORMS,
    PRE_NORMS,
    SANDWICH,
    Decoder,
    DecoderLayer,
    DecoderNames,
    LayerNames,
    Norms,
    ParallelLayer,
)
from tallow.models.blocks.heads import as_mask, attend, merge_heads, split_heads
from tallow.models.blocks.mlp import GatedMlp, Mlp
from tallow.models.blocks.rope import Rope, RopeScaling

__all__ = [
    "DECODER_NAMES",
    "LAYER_NAMES",
    "POST_NORMS",
    "PRE_NORMS",
    "SANDWICH",
    "Attention",
    "Decoder",
    "DecoderLayer",
    "DecoderNames",
    "GatedMlp",
    "JoinedAttention",
    "LayerNames",
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
