"""Jamba: Mamba layers with some of attention without positions between them (arXiv 2403.19887)."""

from __future__ import annotations

from typing import Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, GatedMlp
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba import ScanMixer
from tallow.models.blocks.mamba_config import read_rank
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.nn import Module, RMSNorm


@dataclass(frozen=True)
class JambaConfig(DecoderConfig):
    """Of Hugging Face's `JambaConfig`."""

    without_effect = DecoderConfig.without_effect | {
        "layers_block_type", "layer_types", "layers_num_experts", "use_mamba_kernels",
        "use_mambapy", "use_associative_scan", "output_router_logits", "router_aux_loss_coef",
        "num_logits_to_keep",
    }  # fmt: skip

    attention_period: int = 8
    attention_offset: int = 4
    expert_period: int = 2
    expert_offset: int = 1
    num_experts: int = 16
    num_experts_per_tok: int = 2
    state_size: int = 16
    taps: int = 4
    expand: int = 2
    rank: int = 0
    conv_bias: bool = True
    proj_bias: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers of attention, and of experts, come every so many layers."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=262144, pad_token_id=0
        )
        cfg = super().read(fields)
        attention, expert = (_period(fields, name, *each) for name, *each in _PERIODS)
        experts = fields.integer("num_experts", fields.integer("num_local_experts", 16), high=4096)
        if any(i % expert[0] == expert[1] for i in range(cfg.num_hidden_layers)) and experts > 1:
            raise fields.error("num_experts", "1 (experts are not supported)", experts)
        return replace(
            cfg,
            attention_period=attention[0],
            attention_offset=attention[1],
            expert_period=expert[0],
            expert_offset=expert[1],
            num_experts=experts,
            num_experts_per_tok=fields.integer("num_experts_per_tok", 2, high=max(experts, 2)),
            state_size=fields.integer("mamba_d_state", 16, high=256),
            taps=fields.integer("mamba_d_conv", 4, low=2, high=16),
            expand=fields.integer("mamba_expand", 2, high=64),
            rank=read_rank(fields, "mamba_dt_rank", None) or -(-cfg.hidden_size // 16),
            conv_bias=fields.flag("mamba_conv_bias", True),
            proj_bias=fields.flag("mamba_proj_bias"),
        )

    def attends(self, index: int) -> bool:
        """Whether a layer is one of attention."""
        return index % self.attention_period == self.attention_offset

    def experts(self, index: int) -> int:
        """How many experts a layer has."""
        return self.num_experts if index % self.expert_period == self.expert_offset else 1


_PERIODS = (("attn", 8, 4), ("expert", 2, 1))


def _period(fields: Fields, kind: str, period: int, offset: int) -> tuple[int, int]:
    period = fields.integer(f"{kind}_layer_period", period)
    return period, fields.integer(f"{kind}_layer_offset", offset, low=0, high=period - 1)


def _layer(cfg: JambaConfig, index: int) -> MixedLayer:
    size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends(index)
    if attends:
        mixer: Module = Attention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim, causal=True
        )
    else:
        norms = [RMSNorm(width, eps) for width in (cfg.rank, cfg.state_size, cfg.state_size)]
        mixer = ScanMixer(
            size, cfg.expand * size, state_size=cfg.state_size, rank=cfg.rank, taps=cfg.taps,
            bias=cfg.proj_bias, conv_bias=cfg.conv_bias, norms=norms,
        )  # fmt: skip
    name = "self_attn" if attends else "mamba"
    names = Names("input_layernorm", name, "pre_ff_layernorm", "feed_forward")
    mlp = GatedMlp(size, cfg.intermediate_size)
    return MixedLayer(names, mixer, mlp, (RMSNorm(size, eps), RMSNorm(size, eps)))


class JambaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = JambaConfig
    names = ("embed_tokens", "final_layernorm")

    def __init__(self, cfg: JambaConfig) -> None:
        layers = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id)


class JambaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = JambaConfig

    def __init__(self, cfg: JambaConfig) -> None:
        super().__init__(cfg, JambaModel(cfg))
