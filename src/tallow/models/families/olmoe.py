"""OLMoE: norms over all queries and keys, and experts of which tokens take the most likely."""

from __future__ import annotations

from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax, stacked_experts
from tallow.models.blocks.norms import WholeNorm
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names
from tallow.nn import Module


class Config(MoeConfig):
    """Of Hugging Face's `OlmoeConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Bounds of queries, keys and values are refused."""
        if fields.get("clip_qkv") is not None:
            raise fields.error("clip_qkv", "null (not supported)", fields.get("clip_qkv"))
        fields = fields.with_defaults(
            max_position_embeddings=4096, rms_norm_eps=1e-5, num_experts_per_tok=8, pad_token_id=1
        )
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(num_experts=64)
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        cfg, bias = super().read(fields), fields.flag("attention_bias")
        norm = fields.flag("norm_topk_prob")
        return replace(cfg, qkv_bias=bias, output_bias=bias, norm_topk_prob=norm)


GGUF = GGUF_DECODER.but(names=expert_names(), keys=EXPERT_KEYS, architecture="olmoe", biases=())


class OlmoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with norms of all heads together, and experts."""
        size, count, eps = cfg.hidden_size, cfg.num_experts, cfg.rms_norm_eps
        choose = by_softmax(cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob)
        mlp = SparseMlp(
            Router(size, count, choose), Experts(count, size, cfg.moe_intermediate_size)
        )
        q_norm = WholeNorm(cfg.num_attention_heads * cfg.head_dim, eps)
        k_norm = WholeNorm(cfg.num_key_value_heads * cfg.head_dim, eps)
        return decoder_layer(cfg, index, rope, q_norm=q_norm, k_norm=k_norm, mlp=mlp)


define_causal(globals(), "Olmoe", OlmoeModel)
