"""Qwen, the first: Llama with biases and one matrix for queries, keys and values (2309.16609)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key
from tallow.nn import Module, RMSNorm
from tallow.weights.arrange import rename

# What the published code could do otherwise, and no checkpoint does.
_FIXED = {"no_bias": True, "scale_attn_weights": True}
_OTHERS = """
attn_dropout_prob emb_dropout_prob bf16 fp16 fp32 onnx_safe use_cache_quantization use_cache_kernel
use_flash_attn softmax_in_fp32 kv_channels rotary_pct seq_length use_dynamic_ntk use_logn_attn
"""


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of the `QWenConfig` beside the published checkpoints."""

    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | set(_OTHERS.split())

    @property
    def both(self) -> int:
        """The widths of gate and up together."""
        return 2 * self.intermediate_size

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The context ends at `seq_length` where rotations or scores change behind it.

        `intermediate_size` counts gate and up together.
        """
        for name, wanted in _FIXED.items():
            if fields.flag(name, wanted) is not wanted:
                raise fields.error(name, str(wanted).lower(), not wanted)
        if fields.number("rotary_pct", 1.0) != 1:
            raise fields.error("rotary_pct", "1 (no part of a head)", fields.get("rotary_pct"))
        both, context = fields.integer("intermediate_size"), fields.get("max_position_embeddings")
        if both % 2:
            raise fields.error("intermediate_size", "an even number", both)
        changing = fields.flag("use_dynamic_ntk", True) or fields.flag("use_logn_attn", True)
        if changing or context is None:
            context = fields.integer("seq_length", 8192)
        fields = fields.called({"rms_norm_eps": "layer_norm_epsilon", "head_dim": "kv_channels"})
        theta = fields.number("rotary_emb_base", 10000.0)
        fields = fields.with_defaults(rope_theta=theta, rms_norm_eps=1e-6)
        cfg = super().read(fields.with_value("max_position_embeddings", context))
        return replace(cfg, qkv_bias=True, intermediate_size=both // 2)


_NAMES = {
    "wte": "embed_tokens",
    "ln_f": "norm",
    "h.{}.ln_1": "layers.{}.input_layernorm",
    "h.{}.ln_2": "layers.{}.post_attention_layernorm",
    "h.{}.attn.c_attn": "layers.{}.self_attn.c_attn",
    "h.{}.attn.c_proj": "layers.{}.self_attn.o_proj",
    "h.{}.mlp.w2": "layers.{}.mlp.gate_proj",
    "h.{}.mlp.w1": "layers.{}.mlp.up_proj",
    "h.{}.mlp.c_proj": "layers.{}.mlp.down_proj",
}
_RENAMED = ("intermediate_size", "rms_norm_eps", "rope_theta")
_JOINED = "transformer.layers.{}.self_attn.c_attn"
GGUF = replace(
    GGUF_DECODER,
    keys=(
        *(key for key in GGUF_DECODER.keys if key.field not in _RENAMED),
        Key("feed_forward_length", "intermediate_size", attribute="both"),
        Key(
            "attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "f32",
            attribute="rms_norm_eps",
        ),
        Key("rope.freq_base", "rotary_emb_base", "f32", attribute="rope_theta", default=10000.0),
    ),
    architecture="qwen",
    # llama.cpp's converter leaves the rows joined.
    names=GGUF_DECODER.names.moved("model.", "transformer.").extended({"blk.{}.attn_qkv": _JOINED}),
    constants={"use_dynamic_ntk": False, "use_logn_attn": False},
    biases=("attn_qkv",),
    required=("output.weight", "blk.0.attn_qkv.bias"),
)  # fmt: skip


class QWenModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    ignorable = (r"rotary_emb\.inv_freq", r"h\.\d+\.attn\.masked_bias")
    rules = stored = tuple(rename(f"{name}.*", f"{own}.*") for name, own in _NAMES.items())

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention by one matrix, and a gated feed-forward."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, joined="c_attn"),
            mlp=gated_mlp(cfg),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )


class QWen(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = QWenModel
    base_model_prefix = "transformer"
