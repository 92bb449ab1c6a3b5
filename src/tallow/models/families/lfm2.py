"""LFM2, dense and with experts: short gated convolutions between layers of attention.

Liquid AI, 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, Rope
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba import CausalConv, masked
from tallow.models.blocks.mamba_gguf import CONV, MIXED_KEYS, key_heads, write_key_heads
from tallow.models.blocks.moe import CorrectedRouter, Experts, SparseMlp, stacked_experts
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import (
    EXPERT_KEYS,
    SIGMOIDS,
    WIDTH_KEY,
    MoeConfig,
    expert_names,
    write_leading_dense,
)
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.models.states import Recurrent
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import silu_mul
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import mapped, rename

_KINDS = ("conv", "full_attention")


@dataclass(frozen=True)
class Lfm2Config(DecoderConfig):
    """Of Hugging Face's `Lfm2Config`; `attends` says of each layer whether it is attention."""

    without_effect = DecoderConfig.without_effect | {
        "conv_dim", "conv_dim_out", "conv_use_xavier_init", "theta", "use_pos_enc", "block_dim",
        "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale", "block_use_swiglu",
        "block_use_xavier_init", "num_heads", "block_ff_dim",
    }  # fmt: skip

    taps: int = 3
    conv_bias: bool = False
    attends: tuple[bool, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The width of feed-forward layers may be told before it is cut to two thirds."""
        tied = fields.flag("tie_embedding", fields.flag("tie_word_embeddings", True))
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=128000, pad_token_id=0,
            norm_eps=1e-5, intermediate_size=12288,
        )  # fmt: skip
        fields = fields.with_value("tie_word_embeddings", tied)
        fields = fields.with_value("rms_norm_eps", fields.get("norm_eps"))
        fields = fields.with_value("intermediate_size", _inner(fields))
        if "rope_theta" not in fields and "rope_parameters" not in fields:
            fields = fields.with_value("rope_theta", 1000000.0)
        cfg = super().read(fields)
        return replace(
            cfg,
            taps=fields.integer("conv_L_cache", 3, low=2, high=16),
            conv_bias=fields.flag("conv_bias"),
            attends=_attends(fields, cfg.num_hidden_layers),
        )


@dataclass(frozen=True)
class Lfm2MoeConfig(Lfm2Config, MoeConfig):
    """Of Hugging Face's `Lfm2MoeConfig`."""

    without_effect = Lfm2Config.without_effect | MoeConfig.without_effect

    routed_scaling_factor: float = 1.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first `num_dense_layers` have no experts, and widths stand as they are."""
        fields = fields.with_defaults(
            intermediate_size=7168, moe_intermediate_size=1792, num_experts=32,
            num_experts_per_tok=4, block_auto_adjust_ff_dim=False,
        )  # fmt: skip
        if not fields.flag("use_expert_bias", True):
            raise fields.error("use_expert_bias", "true (not supported)", False)
        dense = fields.integer("num_dense_layers", 2, low=0)
        cfg = super().read(fields)
        return replace(
            cfg,
            dense_layers=tuple(range(min(dense, cfg.num_hidden_layers))),
            norm_topk_prob=fields.flag("norm_topk_prob", True),
            routed_scaling_factor=fields.number("routed_scaling_factor", 1.0),
        )


def _inner(fields: Fields) -> int:
    width = fields.integer("block_ff_dim", fields.integer("intermediate_size"))
    if not fields.flag("block_auto_adjust_ff_dim", True):
        return width
    width = int(2 * width / 3)
    if fields.has("block_ffn_dim_multiplier") and fields.get("block_ffn_dim_multiplier") is None:
        return width
    width = int(fields.number("block_ffn_dim_multiplier", 1.0) * width)
    step = fields.integer("block_multiple_of", 256)
    return -(-width // step) * step


def _attends(fields: Fields, layers: int) -> tuple[bool, ...]:
    kinds, which = fields.get("layer_types"), fields.get("full_attn_idxs")  # files have both
    if kinds is None:
        which = list(range(layers)) if which is None else which
        good = isinstance(which, list) and all(type(i) is int and 0 <= i < layers for i in which)
        if not good:
            raise fields.error("full_attn_idxs", f"indices of {layers} layers", which)
        return tuple(i in which for i in range(layers))
    good = isinstance(kinds, list) and len(kinds) >= layers and all(k in _KINDS for k in kinds)
    if not good:
        raise fields.error("layer_types", f"{layers} of {' or '.join(_KINDS)}", kinds)
    return tuple(kind == "full_attention" for kind in kinds[:layers])


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Layers without key heads are convolutions."""
    heads, attends = key_heads(fields)
    return {"num_key_value_heads": heads, "layer_types": [_KINDS[each] for each in attends]}


def _to_file(cfg: Lfm2Config) -> dict[str, tuple[Kind, Any]]:
    if cfg.conv_bias:
        raise ModelError("config: conv_bias: expected false in an LFM2 for GGUF, found true")
    return {"attention.head_count_kv": write_key_heads(cfg.num_key_value_heads, cfg.attends)}


_LAYER = "model.layers.{}."
GGUF = GGUF_DECODER.but(
    names={
        "token_embd_norm": "model.embedding_norm",
        "blk.{}.attn_norm": _LAYER + "operator_norm",
        "blk.{}.attn_output": _LAYER + "self_attn.out_proj",
        "blk.{}.attn_q_norm": _LAYER + "self_attn.q_layernorm",
        "blk.{}.attn_k_norm": _LAYER + "self_attn.k_layernorm",
        "blk.{}.ffn_norm": _LAYER + "ffn_norm",
        "blk.{}.ffn_gate": _LAYER + "feed_forward.w1",
        "blk.{}.ffn_up": _LAYER + "feed_forward.w3",
        "blk.{}.ffn_down": _LAYER + "feed_forward.w2",
        "blk.{}.shortconv.in_proj": _LAYER + "conv.in_proj",
        "blk.{}.shortconv.out_proj": _LAYER + "conv.out_proj",
    },
    keys=(
        *MIXED_KEYS,
        Key("attention.layer_norm_rms_epsilon", "norm_eps", "f32", attribute="rms_norm_eps"),
        Key("shortconv.l_cache", "conv_L_cache", attribute="taps"),
    ),
    constants={"block_auto_adjust_ff_dim": False},
    rules=lambda _: (mapped("blk.{}.shortconv.conv.weight", _LAYER + "conv.conv.weight", CONV),),
    read=_of_file,
    write=_to_file,
    biases=(),
)


def _experts_of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    dense = fields.integer("leading_dense_block_count", 0, low=0)
    return {**_of_file(fields, source), "num_dense_layers": dense}


def _experts_to_file(cfg: Lfm2MoeConfig) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp makes the worth of experts sum to 1."""
    if not cfg.norm_topk_prob or cfg.routed_scaling_factor != 1.0:
        wanted = "true, and routed_scaling_factor of 1, in an LFM2 for GGUF"
        raise ModelError(f"config: norm_topk_prob: expected {wanted}, found others")
    leading = write_leading_dense(cfg)["leading_dense_block_count"]
    return {
        **_to_file(cfg),
        "leading_dense_block_count": leading,
        "expert_gating_func": ("u32", SIGMOIDS),
    }


_FEED = "layers.{}.feed_forward."
_CORRECTION = "gate.e_score_correction_bias"
GGUF_LFM2_MOE = GGUF.but(
    names=expert_names(f"model.{_FEED}"),
    keys=(*EXPERT_KEYS, WIDTH_KEY),
    architecture="lfm2moe",
    rules=lambda _: (
        mapped("blk.{}.shortconv.conv.weight", _LAYER + "conv.conv.weight", CONV),
        rename("blk.{}.exp_probs_b.bias", f"model.{_FEED}{_CORRECTION}"),
    ),
    read=_experts_of_file,
    write=_experts_to_file,
)


class ShortConv(Module):
    """A convolution over few positions between two gates that inputs make."""

    def __init__(self, size: int, taps: int, *, bias: bool) -> None:
        self.conv = CausalConv(size, taps, bias=bias, silu=False)
        self.in_proj = Linear(size, 3 * size, bias=bias)
        self.out_proj = Linear(size, size, bias=bias)

    def make_state(self) -> Recurrent:
        """What the convolution remembers."""
        return Recurrent(conv=self.conv.sizes)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` `(batch, n)` is 0 where there is padding."""
        before, after, inner = self.in_proj(masked(x, mask)).chunk(3, -1)
        return self.out_proj(after * self.conv(before * inner, state))


class Lfm2Attention(Attention):
    """Rotary attention whose norms of heads have names of their own."""

    def __init__(self, cfg: Lfm2Config, rope: Rope) -> None:
        self.q_layernorm, self.k_layernorm = (
            RMSNorm(cfg.head_dim, cfg.rms_norm_eps) for _ in range(2)
        )
        super().__init__(
            cfg.hidden_size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
            rope=rope, causal=True, q_norm=self.q_layernorm, k_norm=self.k_layernorm,
            out_name="out_proj",
        )  # fmt: skip


class Mlp(Module):
    """`w2(silu(w1(x)) * w3(x))`."""

    def __init__(self, size: int, hidden: int) -> None:
        self.w1 = Linear(size, hidden, bias=False)
        self.w3 = Linear(size, hidden, bias=False)
        self.w2 = Linear(hidden, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.w2(silu_mul(self.w1(x), self.w3(x)))


def _layer(cfg: Lfm2Config, index: int, rope: Rope) -> MixedLayer:
    size, attends = cfg.hidden_size, cfg.attends[index]
    mixer: Any = Lfm2Attention(cfg, rope) if attends else None
    mixer = mixer or ShortConv(size, cfg.taps, bias=cfg.conv_bias)
    names = Names("operator_norm", "self_attn" if attends else "conv", "ffn_norm", "feed_forward")
    norms = RMSNorm(size, cfg.rms_norm_eps), RMSNorm(size, cfg.rms_norm_eps)
    mlp: Module = Mlp(size, cfg.intermediate_size)
    if isinstance(cfg, Lfm2MoeConfig) and cfg.is_sparse(index):
        mlp = _experts(cfg)
    return MixedLayer(names, mixer, mlp, norms)


def _experts(cfg: Lfm2MoeConfig) -> SparseMlp:
    size, count = cfg.hidden_size, cfg.num_experts
    router = CorrectedRouter(
        size, count, cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob,
        scale=cfg.routed_scaling_factor, least=1e-6,
    )  # fmt: skip
    return SparseMlp(router, Experts(count, size, cfg.moe_intermediate_size))


class Lfm2Model(RecurrentModel):
    """The decoder without a head."""

    config_class: ClassVar[Any] = Lfm2Config
    names = ("embed_tokens", "embedding_norm")

    def __init__(self, cfg: Lfm2Config) -> None:
        rope = Rope(cfg.head_dim, cfg.rope_theta, cfg.rope_scaling, factors=cfg.rope_factors)
        layers = [_layer(cfg, i, rope) for i in range(cfg.num_hidden_layers)]
        norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=rope)


class Lfm2ForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Lfm2Config

    def __init__(self, cfg: Lfm2Config) -> None:
        super().__init__(cfg, Lfm2Model(cfg))


class Lfm2MoeModel(Lfm2Model):
    """The decoder without a head."""

    config_class = Lfm2MoeConfig
    rules = stored = (
        *stacked_experts(
            _FEED + "experts.{*}", _FEED + "experts",
            gate_proj="w1", down_proj="w2", up_proj="w3",
        ),
        rename(_FEED + "expert_bias", _FEED + _CORRECTION),
    )  # fmt: skip


class Lfm2MoeForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Lfm2MoeConfig

    def __init__(self, cfg: Lfm2MoeConfig) -> None:
        super().__init__(cfg, Lfm2MoeModel(cfg))
