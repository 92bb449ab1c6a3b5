"""Jamba: Mamba layers with some of attention without positions between them (arXiv 2403.19887)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, GatedMlp
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba import ScanMixer
from tallow.models.blocks.mamba_config import read_rank
from tallow.models.blocks.mamba_gguf import MIXED_KEYS, key_heads, scan_rules, write_key_heads
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax, stacked_experts
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource


@dataclass(frozen=True)
class JambaConfig(DecoderConfig):
    """Of Hugging Face's `JambaConfig`."""

    without_effect = DecoderConfig.without_effect | {
        "layers_block_type", "layer_types", "layers_num_experts", "use_mamba_kernels",
        "use_mambapy", "use_associative_scan", "output_router_logits", "router_aux_loss_coef",
        "num_logits_to_keep",
    }  # fmt: skip

    attends: tuple[bool, ...] = ()
    sparse: tuple[bool, ...] = ()
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
        layers = range(cfg.num_hidden_layers)
        experts = fields.integer("num_experts", fields.integer("num_local_experts", 16), high=4096)
        return replace(
            cfg,
            attends=tuple(i % attention[0] == attention[1] for i in layers),
            sparse=tuple(i % expert[0] == expert[1] and experts > 1 for i in layers),
            num_experts=experts,
            num_experts_per_tok=fields.integer("num_experts_per_tok", 2, high=max(experts, 2)),
            state_size=fields.integer("mamba_d_state", 16, high=256),
            taps=fields.integer("mamba_d_conv", 4, low=2, high=16),
            expand=fields.integer("mamba_expand", 2, high=64),
            rank=read_rank(fields, "mamba_dt_rank", None) or -(-cfg.hidden_size // 16),
            conv_bias=fields.flag("mamba_conv_bias", True),
            proj_bias=fields.flag("mamba_proj_bias"),
        )


_PERIODS = (("attn", 8, 4), ("expert", 2, 1))


def _period(fields: Fields, kind: str, period: int, offset: int) -> tuple[int, int]:
    period = fields.integer(f"{kind}_layer_period", period)
    return period, fields.integer(f"{kind}_layer_offset", offset, low=0, high=period - 1)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Periods of layers, which files tell one by one, and the factor of the width."""
    heads, attends = key_heads(fields)
    layers = range(len(attends))
    which = [i for i in layers if attends[i]] or [len(attends)]
    period = which[1] - which[0] if len(which) > 1 else len(attends) + 1
    if any(attends[i] != (i % period == which[0]) for i in layers) or which[0] >= period:
        wanted = "layers of attention at equal distances"
        raise fields.error("attention.head_count_kv", wanted, attends)
    inner, width = fields.integer("ssm.inner_size"), fields.integer("embedding_length")
    return {
        "num_key_value_heads": heads,
        "attn_layer_period": period,
        "attn_layer_offset": which[0],
        "mamba_expand": inner // width,
        **_experts_of_file(fields, source),
    }


def _experts_of_file(fields: Fields, source: WeightSource) -> dict[str, Any]:
    layers = range(fields.integer("block_count"))
    which = [i for i in layers if f"blk.{i}.ffn_gate_inp.weight" in source]
    if not which:
        return {"num_experts": 1}
    period = which[1] - which[0] if len(which) > 1 else len(layers) + 1
    if which != [i for i in layers if i % period == which[0]]:
        raise fields.error("block_count", "layers with experts at equal distances", which)
    return {
        "expert_layer_period": period,
        "expert_layer_offset": which[0],
        "num_experts": fields.integer("expert_count", high=4096),
        "num_experts_per_tok": fields.integer("expert_used_count", high=4096),
    }


def _to_file(cfg: JambaConfig) -> dict[str, tuple[Kind, Any]]:
    if cfg.expand != 2 or not cfg.conv_bias or cfg.proj_bias:
        wanted = "mamba_expand 2, mamba_conv_bias and no mamba_proj_bias in a Jamba for GGUF"
        raise ModelError(f"config: expected {wanted}, found others")
    keys: dict[str, tuple[Kind, Any]] = {
        "attention.head_count_kv": write_key_heads(cfg.num_key_value_heads, cfg.attends),
        "ssm.inner_size": ("u32", cfg.expand * cfg.hidden_size),
    }
    if any(cfg.sparse):
        keys["expert_count"] = "u32", cfg.num_experts
        keys["expert_used_count"] = "u32", cfg.num_experts_per_tok
    return keys


_LAYER = "model.layers.{}."
GGUF = GGUF_DECODER.but(
    names={
        "output_norm": "model.final_layernorm",
        "blk.{}.ffn_norm": _LAYER + "pre_ff_layernorm",
        "blk.{}.ffn_gate_inp": _LAYER + "feed_forward.router",
        **{
            f"blk.{{}}.ffn_{part}_exps": f"{_LAYER}feed_forward.experts.{part}_proj"
            for part in ("gate", "up", "down")
        },
        **{
            f"blk.{{}}.ffn_{part}": f"{_LAYER}feed_forward.{part}_proj"
            for part in ("gate", "up", "down")
        },
        **{
            f"blk.{{}}.ssm_{name}": f"{_LAYER}mamba.{ours}"
            for name, ours in (
                ("in", "in_proj"), ("conv1d", "conv1d"), ("x", "x_proj"), ("dt", "dt_proj"),
                ("out", "out_proj"), ("dt_norm", "dt_layernorm"), ("b_norm", "b_layernorm"),
                ("c_norm", "c_layernorm"),
            )
        },
    },
    keys=(
        *MIXED_KEYS,
        Key("expert_count", "num_local_experts", attribute="none"),
        Key("ssm.conv_kernel", "mamba_d_conv", attribute="taps"),
        Key("ssm.state_size", "mamba_d_state", attribute="state_size"),
        Key("ssm.time_step_rank", "mamba_dt_rank", attribute="rank"),
    ),
    rules=lambda _: scan_rules(_LAYER + "mamba"),
    read=_of_file,
    write=_to_file,
    biases=(),
)  # fmt: skip


def _layer(cfg: JambaConfig, index: int) -> MixedLayer:
    size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends[index]
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
    mlp: Module = GatedMlp(size, cfg.intermediate_size)
    if cfg.sparse[index]:
        count = cfg.num_experts
        router = Router(size, count, by_softmax(cfg.num_experts_per_tok))
        mlp = SparseMlp(router, Experts(count, size, cfg.intermediate_size), router_name="router")
    return MixedLayer(names, mixer, mlp, (RMSNorm(size, eps), RMSNorm(size, eps)))


class JambaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = JambaConfig
    names = ("embed_tokens", "final_layernorm")
    rules = stored = stacked_experts(
        "layers.{}.feed_forward.experts.{*}", "layers.{}.feed_forward.experts"
    )

    def __init__(self, cfg: JambaConfig) -> None:
        layers = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id)


class JambaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = JambaConfig

    def __init__(self, cfg: JambaConfig) -> None:
        super().__init__(cfg, JambaModel(cfg))
