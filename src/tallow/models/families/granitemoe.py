"""Granite 3 with experts: factors on words, scores, residuals and logits, and sparse layers."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import Experts, Router, SparseMlp, softmax_of_chosen
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA, Key
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names
from tallow.nn import Module
from tallow.weights.arrange import rename, split


class Config(MoeConfig):
    """Of Hugging Face's `GraniteMoeConfig`."""

    @property
    def logits_scaling(self) -> float:
        """What logits are divided by."""
        return 1 / self.logit_scale

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Factors are 1 unless given, that of scores too."""
        fields = fields.with_defaults(num_experts_per_tok=2)
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=8)
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        bias = fields.flag("attention_bias")
        return replace(
            super().read(fields),
            qkv_bias=bias,
            output_bias=bias,
            embedding_scale=fields.real("embedding_multiplier", 1.0),
            query_scale=fields.real("attention_multiplier", 1.0),
            residual_scale=fields.real("residual_multiplier", 1.0),
            logit_scale=1 / fields.number("logits_scaling", 1.0),
        )


GGUF = GGUF_LLAMA.but(
    names={**expert_names(), "blk.{}.ffn_gate_inp": "model.layers.{}.mlp.router"},
    keys=(
        *EXPERT_KEYS,
        Key("embedding_scale", "embedding_multiplier", "f32", "embedding_scale"),
        Key("attention.scale", "attention_multiplier", "f32", "query_scale"),
        Key("residual_scale", "residual_multiplier", "f32", "residual_scale"),
        Key("logit_scale", "logits_scaling", "f32", "logits_scaling"),
    ),
    architecture="granitemoe",
)
_MLP, _STORED = "layers.{}.mlp.", "layers.{}.block_sparse_moe."


class GraniteMoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    scales_given: ClassVar[bool] = True
    rules = stored = (
        rename(_STORED + "router.layer.weight", _MLP + "router.weight"),
        rename(_STORED + "output_linear.weight", _MLP + "experts.down_proj.weight"),
        split(
            _STORED + "input_linear.weight",
            _MLP + "experts.gate_proj.weight",
            _MLP + "experts.up_proj.weight",
            dim=1,
        ),
    )

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Plain attention, and experts."""
        size, count = cfg.hidden_size, cfg.num_experts
        router = Router(size, count, softmax_of_chosen(cfg.num_experts_per_tok))
        experts = Experts(count, size, cfg.moe_intermediate_size)
        mlp = SparseMlp(router, experts, router_name="router")
        return decoder_layer(cfg, index, rope, mlp=mlp)


define_causal(globals(), "GraniteMoe", GraniteMoeModel)
