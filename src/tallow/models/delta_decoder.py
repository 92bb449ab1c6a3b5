"""Decoders of delta nets between layers of gated attention: Qwen3-Next and Qwen3.5."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.models.blocks import GatedMlp, Rope
from tallow.models.blocks.delta_net import GatedAttention, GatedDeltaNet
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.delta_config import DeltaConfig
from tallow.models.moe_config import MoeConfig
from tallow.models.recurrent_model import RecurrentModel
from tallow.nn import Linear, Module


class DeltaModel(RecurrentModel):
    """The decoder without a head; families say the class of delta nets, and what feeds forward."""

    net_class: ClassVar[type[GatedDeltaNet]] = GatedDeltaNet
    ignorable = (r"mtp\..*",)  # of guesses at further tokens

    def __init__(self, cfg: DeltaConfig) -> None:
        turning = Rope(cfg.turned(), cfg.rope_theta, cfg.rope_scaling)
        layers = [self._layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        norm = OffsetNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=turning)

    def _layer(self, cfg: DeltaConfig, index: int) -> MixedLayer:
        size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends[index]
        mixer: Module
        if attends:
            heads = cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim
            mixer = GatedAttention(size, *heads, eps=eps, bias=cfg.qkv_bias)
        else:
            mixer = self.net_class(size, cfg.delta, eps, tiled=cfg.heads_tiled)
        name = "self_attn" if attends else "linear_attn"
        names = Names("input_layernorm", name, "post_attention_layernorm", "mlp")
        norms = OffsetNorm(size, eps), OffsetNorm(size, eps)
        return MixedLayer(names, mixer, self.make_feed(cfg, index), norms)

    @staticmethod
    def make_feed(cfg: Any, index: int) -> Module:
        """The feed-forward network of the layer at `index`."""
        return GatedMlp(cfg.hidden_size, cfg.intermediate_size)


def experts_of(cfg: MoeConfig) -> SparseMlp:
    """Experts by softmax, and one of all tokens behind a gate."""
    size, count = cfg.hidden_size, cfg.num_experts
    choose = by_softmax(cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob)
    return SparseMlp(
        Router(size, count, choose),
        Experts(count, size, cfg.moe_intermediate_size),
        shared=GatedMlp(size, cfg.shared_intermediate_size),
        shared_name="shared_expert",
        shared_gate=Linear(size, 1, bias=False),
    )
