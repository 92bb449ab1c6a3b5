"""Bricks that several model families share; each takes its sizes and its parts as sub-modules."""

from tallow.models.blocks.attention import Attention
from tallow.models.blocks.decoder import Decoder, DecoderLayer
from tallow.models.blocks.heads import as_mask, attend, merge_heads, split_heads
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.rope import Rope, RopeScaling

__all__ = [
    "Attention",
    "Decoder",
    "DecoderLayer",
    "GatedMlp",
    "Rope",
    "RopeScaling",
    "as_mask",
    "attend",
    "merge_heads",
    "split_heads",
]
