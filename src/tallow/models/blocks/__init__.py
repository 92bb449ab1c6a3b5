"""Bricks that several model families share; each takes its parts as sub-modules."""

from tallow.models.blocks.attention import Attention, Slot
from tallow.models.blocks.decoder import Cache, CausalLM, Decoder, DecoderLayer
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.rope import Rope

__all__ = [
    "Attention",
    "Cache",
    "CausalLM",
    "Decoder",
    "DecoderLayer",
    "GatedMlp",
    "Rope",
    "Slot",
]
