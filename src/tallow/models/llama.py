"""Llama 1 to 3 and what is built the same way (SmolLM, TinyLlama, Yi, …)."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from tallow.models.blocks import Attention, CausalLM, DecoderLayer, GatedMlp
from tallow.models.config import DecoderConfig, Fields
from tallow.models.family import GGUF_DECODER, family


class Config(DecoderConfig):
    """Of Hugging Face's `LlamaConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`attention_bias` gives all four projections of the attention a bias."""
        cfg = super().read(fields)
        bias = fields.flag("attention_bias")
        return replace(cfg, qkv_bias=cfg.qkv_bias or bias, output_bias=cfg.output_bias or bias)


# The converter of llama.cpp reorders the rows of q_proj and k_proj for rotated neighbours.
@family("llama", config=Config, gguf=replace(GGUF_DECODER, interleaved=True))
class Llama(CausalLM):
    """A decoder of plain attention and gated feed-forward layers."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__(
            cfg,
            layer=lambda i: DecoderLayer(cfg, self_attn=Attention(cfg), mlp=GatedMlp(cfg)),
        )
