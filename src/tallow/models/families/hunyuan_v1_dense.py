"""Hunyuan, dense and with experts: Llama with norms on heads behind their rotation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, GatedMlp, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import (
    Choice,
    Experts,
    Router,
    SparseMlp,
    by_softmax,
    stacked_experts,
)
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names, shared_names
from tallow.models.rope_fields import rope_scope
from tallow.nn import Module, RMSNorm
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `HunYuanDenseV1Config`."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "eod_token_id"}
    )
    defaults: ClassVar[Mapping[str, Any]] = {"rms_norm_eps": 1e-5, "pad_token_id": 0}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A dynamic scaling with an `alpha` is a larger base for texts of any length."""
        rope, bias = rope_scope(fields), fields.flag("attention_bias")
        kind = rope.text("rope_type" if "rope_type" in rope else "type", "default")
        growth = rope.number("alpha") if kind == "dynamic" and rope.get("alpha") else 0.0
        if growth:
            theta = rope.get("rope_theta") or fields.get("rope_theta")
            plain = {} if theta is None else {"rope_theta": theta}
            fields = fields.with_value("rope_scaling", None).with_value("rope_parameters", plain)
        cfg = replace(super().read(fields), qkv_bias=bias, output_bias=bias)
        if growth:
            power = cfg.head_dim / (cfg.head_dim - 2)
            cfg = replace(cfg, rope_theta=cfg.rope_theta * growth**power)
        return cfg


@dataclass(frozen=True)
class ExpertConfig(Config, MoeConfig):
    """Of Hugging Face's `HunYuanMoEV1Config`."""

    # Of training, and of attention that `use_cla` would choose.
    without_effect: ClassVar[frozenset[str]] = (
        Config.without_effect
        | MoeConfig.without_effect
        | {
            "capacity_factor", "cla_share_factor", "group_limited_greedy", "moe_drop_tokens",
            "moe_layer_num_skipped", "moe_random_routing_dropped_token", "use_mixed_mlp_moe",
        }
    )  # fmt: skip

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """What published configs list for each layer has to be the same in all."""
        chosen = _same(fields, "moe_topk", fields.get("num_experts_per_tok") or 1)
        width = fields.get("intermediate_size")
        if _same(fields, "moe_intermediate_size", width) != width:
            found = fields.get("moe_intermediate_size")
            raise fields.error("moe_intermediate_size", f"{width}, as intermediate_size", found)
        if _same(fields, "num_shared_expert", 1) != 1:
            raise fields.error("num_shared_expert", "1", fields.get("num_shared_expert"))
        if fields.flag("use_cla") or fields.flag("group_limited_greedy"):
            raise fields.error("use_cla", "false, as group_limited_greedy (not supported)", True)
        fields = fields.with_defaults(num_experts=1)
        fields = fields.with_value("num_experts", _same(fields, "num_experts", 1))
        fields = fields.with_value("num_experts_per_tok", chosen)
        cfg = super().read(fields.with_value("moe_intermediate_size", width))
        return replace(cfg, shared_intermediate_size=cfg.intermediate_size, norm_topk_prob=True)


def _same(fields: Fields, name: str, default: Any) -> Any:
    value = fields.get(name)
    if not isinstance(value, list):
        return default if value is None else value
    if not value or any(each != value[0] for each in value):
        raise fields.error(name, "equal numbers (layers that differ are not supported)", value)
    return value[0]


GGUF_HUNYUAN_V1_DENSE = GGUF_DECODER.but(
    names={
        "blk.{}.attn_q_norm": "model.layers.{}.self_attn.query_layernorm",
        "blk.{}.attn_k_norm": "model.layers.{}.self_attn.key_layernorm",
    },
    architecture="hunyuan-dense",
    biases=(),
)


def _to_file(cfg: ExpertConfig) -> dict[str, tuple[Kind, Any]]:
    return {
        "expert_feed_forward_length": ("u32", cfg.intermediate_size),
        "expert_shared_feed_forward_length": ("u32", cfg.intermediate_size),
        "expert_shared_count": ("u32", 1),
    }


GGUF_HUNYUAN_V1_MOE = GGUF_HUNYUAN_V1_DENSE.but(
    names={
        **expert_names(),
        **shared_names("shared_mlp"),
        "blk.{}.ffn_gate_inp": "model.layers.{}.mlp.gate.wg",
    },
    keys=(
        *EXPERT_KEYS,
        Key("expert_feed_forward_length", "moe_intermediate_size", attribute="intermediate_size"),
    ),
    architecture="hunyuan-moe",
    write=_to_file,
)


class HunYuanDenseV1Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with heads that are normalised where they stand, and a feed-forward."""
        norm = partial(RMSNorm, eps=cfg.rms_norm_eps)
        attention = decoder_attention(
            cfg, index, rope, q_norm=norm(cfg.head_dim), k_norm=norm(cfg.head_dim),
            norm_turned=True, norm_names=("query_layernorm", "key_layernorm"),
        )  # fmt: skip
        return DecoderLayer(
            self_attn=attention, mlp=cls.make_feed(cfg), norm=partial(norm, cfg.hidden_size)
        )

    @staticmethod
    def make_feed(cfg: Any) -> Module:
        """The feed-forward of a layer."""
        return gated_mlp(cfg)


class Gate(Module):
    """A router as part of what checkpoints call the gate."""

    def __init__(self, router: Router) -> None:
        self.wg = router
        router.quantizable = False  # a rounded score may choose another expert

    def forward(self, x: Tensor) -> Choice:
        """`(tokens, size)` → experts and their worth."""
        return self.wg(x)


class HunYuanMoEV1Model(HunYuanDenseV1Model):
    """The decoder with experts, without a head."""

    config_class = ExpertConfig
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")

    @staticmethod
    def make_feed(cfg: Any) -> Module:
        """Experts, and one for all tokens."""
        size, count, width = cfg.hidden_size, cfg.num_experts, cfg.intermediate_size
        choose = by_softmax(cfg.num_experts_per_tok, renormalise=True)
        return SparseMlp(
            Gate(Router(size, count, choose)),
            Experts(count, size, width),
            shared=GatedMlp(size, width),
            shared_name="shared_mlp",
        )


define_causal(globals(), "HunYuanDenseV1", HunYuanDenseV1Model, heads.SequenceClassification)
define_causal(globals(), "HunYuanMoEV1", HunYuanMoEV1Model, heads.SequenceClassification)
