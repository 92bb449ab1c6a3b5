"""GPT-OSS: attention with sinks and windows by turns, and experts with biases and bounded gates."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.base import define_heads
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.moe import Experts, Router, SparseMlp, softmax_of_chosen
from tallow.models.causal_lm import CausalLM
from tallow.models.config import ATTENTIONS, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind, windows_every, write_windows
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names
from tallow.nn import Module, RMSNorm, param
from tallow.tensor import Tensor
from tallow.weights.arrange import EXCHANGED, TensorMap, mapped, rename, split

_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


@dataclass(frozen=True)
class Config(MoeConfig):
    """Of Hugging Face's `GptOssConfig`."""

    theta: ClassVar[float] = 150000.0

    swiglu_alpha: float = 1.702
    swiglu_limit: float = 7.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The first layer has a window, the second none, and so on."""
        fields = fields.with_defaults(
            num_key_value_heads=8, head_dim=64, max_position_embeddings=131072, rms_norm_eps=1e-5,
            num_experts_per_tok=fields.get("experts_per_token") or 4, attention_bias=True,
        )  # fmt: skip
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=128)
        if fields.get("rope_parameters") is None and fields.get("rope_scaling") is None:
            fields = fields.with_value("rope_parameters", _YARN)
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        cfg = super().read(fields)
        bias, layers = fields.flag("attention_bias", True), cfg.num_hidden_layers
        kinds = [ATTENTIONS[1 - i % 2] for i in range(layers)]
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            sliding_windows=read_windows(fields, layers, 128, kinds=kinds),
            swiglu_alpha=fields.number("swiglu_alpha", 1.702),
            swiglu_limit=fields.number("swiglu_limit", 7.0),
        )


def _bounded(gate: Tensor, up: Tensor, alpha: float, limit: float) -> Tensor:
    """`gate * sigmoid(alpha * gate) * (up + 1)`, both bounded."""
    gate = gate.clamp(max=limit)
    return gate * (gate * alpha).sigmoid() * (up.clamp(-limit, limit) + 1)


def _apart(x: Tensor) -> Tensor:
    """Columns of gate and up by turns `(experts, …, 2n)` → those of all gates, then of all ups."""
    if x.ndim == 3:
        x = x.transpose(1, 2)
    pairs = x.view(x.shape[0], -1, 2, *x.shape[2:])
    return pairs.movedim(2, 0).flatten(0, 1).contiguous()


def _by_turns(x: Tensor) -> Tensor:
    pairs = x.view(2, x.shape[0] // 2, *x.shape[1:]).movedim(0, 2).flatten(1, 2)
    return pairs.transpose(1, 2) if x.ndim == 3 else pairs


def _apart_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (2 * shape[0], shape[-1] // 2, *shape[1:-1])


def _turns_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0] // 2, *shape[2:], 2 * shape[1])


_EXPERTS = "layers.{}.mlp.experts."
_APART = TensorMap(_apart, _by_turns, _apart_shape, _turns_shape)
RULES = (
    mapped(_EXPERTS + "gate_up_proj", _EXPERTS + "gates_and_ups", _APART),
    split(
        _EXPERTS + "gates_and_ups", _EXPERTS + "gate_proj.weight", _EXPERTS + "up_proj.weight"
    ),
    mapped(_EXPERTS + "gate_up_proj_bias", _EXPERTS + "biases", _APART),
    split(_EXPERTS + "biases", _EXPERTS + "gate_proj.bias", _EXPERTS + "up_proj.bias"),
    mapped(_EXPERTS + "down_proj", _EXPERTS + "down_proj.weight", EXCHANGED),
    rename(_EXPERTS + "down_proj_bias", _EXPERTS + "down_proj.bias"),
)  # fmt: skip


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp has the constants of the gates in its code."""
    if (found := (cfg.swiglu_alpha, cfg.swiglu_limit)) != (1.702, 7.0):
        wanted = "swiglu_alpha and swiglu_limit of 1.702 and 7 in a GPT-OSS for GGUF"
        raise ModelError(f"config: expected {wanted}, found {found[0]:g} and {found[1]:g}")
    return write_windows(cfg)


GGUF = GGUF_DECODER.but(
    names={
        **expert_names(), "blk.{}.ffn_gate_inp": "model.layers.{}.mlp.router",
        "blk.{}.post_attention_norm": "model.layers.{}.post_attention_layernorm",
    },
    keys=(
        *EXPERT_KEYS,
        Key("expert_feed_forward_length", "intermediate_size", attribute="moe_intermediate_size"),
    ),
    architecture="gpt-oss",
    rules=lambda cfg: (
        rename("blk.{}.attn_sinks.weight", "model.layers.{}.self_attn.sinks"),
    ),
    constants={"attention_bias": True},
    read=windows_every(2),
    write=_to_file,
    required=("output.weight", "blk.0.attn_q.bias"),
)  # fmt: skip


class GptOssModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = RULES

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with sinks, and experts."""
        sinks = param(cfg.num_attention_heads)
        size, count = cfg.hidden_size, cfg.num_experts
        gated = partial(_bounded, alpha=cfg.swiglu_alpha, limit=cfg.swiglu_limit)
        mlp = SparseMlp(
            Router(size, count, softmax_of_chosen(cfg.num_experts_per_tok), bias=True),
            Experts(count, size, cfg.moe_intermediate_size, bias=True, gated=gated),
            router_name="router",
        )
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, sinks=sinks),
            mlp=mlp,
            norm=partial(RMSNorm, size, cfg.rms_norm_eps),
        )


class GptOss(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GptOssModel


class HeadedConfig(heads.HeadConfig, Config):
    """The same with what heads ask for."""


define_heads(
    globals(), "GptOss", heads.SequenceClassification, heads.TokenClassification,
    config_class=HeadedConfig, base_class=GptOssModel,
)  # fmt: skip
