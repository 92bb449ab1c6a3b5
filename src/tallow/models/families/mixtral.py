"""Mixtral: Mistral's attention, and experts of which a token takes the most likely."""

from __future__ import annotations

from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.base import define_heads
from tallow.models.blocks import Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import Experts, Router, SparseMlp, block_sparse_experts, by_softmax
from tallow.models.causal_lm import CausalLM
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names
from tallow.nn import Module


class Config(MoeConfig):
    """Of Hugging Face's `MixtralConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A window, where there is one, stands in all layers."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=131072, num_experts_per_tok=2,
            rms_norm_eps=1e-5,
        )  # fmt: skip
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=8)
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        cfg = super().read(fields)
        window = fields.get("sliding_window")
        if window is not None:
            window = fields.integer("sliding_window")
        windows = (window,) * cfg.num_hidden_layers if window else ()
        return replace(cfg, norm_topk_prob=True, sliding_windows=windows)


# llama.cpp has it as a Llama with experts.
GGUF = GGUF_LLAMA.but(names=expert_names(), keys=EXPERT_KEYS)


class MixtralModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = block_sparse_experts("gate")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and experts."""
        size, count = cfg.hidden_size, cfg.num_experts
        router = Router(size, count, by_softmax(cfg.num_experts_per_tok, renormalise=True))
        mlp = SparseMlp(router, Experts(count, size, cfg.moe_intermediate_size))
        return decoder_layer(cfg, index, rope, mlp=mlp)


class Mixtral(CausalLM):
    """A decoder of plain attention and experts."""

    config_class = Config
    model_class = MixtralModel


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "Mixtral",
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
    config_class=HeadedConfig, base_class=MixtralModel,
)  # fmt: skip
