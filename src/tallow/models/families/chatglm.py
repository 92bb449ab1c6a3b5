"""ChatGLM 2, 3 and GLM-4 as first published: `glm` under names of their own, with joined rows."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.nn import Module, RMSNorm
from tallow.weights.arrange import WeightConverter, rename, split

_CALLED = {
    "num_hidden_layers": "num_layers",
    "intermediate_size": "ffn_hidden_size",
    "rms_norm_eps": "layernorm_epsilon",
    "vocab_size": "padded_vocab_size",
    "max_position_embeddings": "seq_length",
    "head_dim": "kv_channels",
}
# What the published code could do otherwise, and no checkpoint does.
_FIXED = {
    "rmsnorm": True, "add_bias_linear": False, "post_layer_norm": True,
    "apply_residual_connection_post_layernorm": False,
    "position_encoding_2d": False,  # ChatGLM-6B, whose parts have other names, too
}  # fmt: skip
_TRAINING = """
apply_query_key_layer_scaling attention_softmax_in_fp32 bias_dropout_fusion classifier_dropout
fp32_residual_connection hidden_dropout original_rope pre_seq_len prefix_projection
quantization_bit interleaved_qkv
"""


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of the `ChatGLMConfig` beside the published checkpoints."""

    rotary_share: ClassVar[float | None] = 0.5
    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | set(_TRAINING.split())

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`rope_ratio` multiplies the base of the rotation."""
        fields = fields.called(_CALLED)
        for name, wanted in _FIXED.items():
            if fields.flag(name, wanted) is not wanted:
                raise fields.error(name, str(wanted).lower(), not wanted)
        shared, groups = fields.flag("multi_query_attention"), fields.get("multi_query_group_num")
        if fields.get("num_key_value_heads") is None:
            keys = groups if shared else fields.get("num_attention_heads")
            fields = fields.with_value("num_key_value_heads", keys)
        theta = 10000.0 * fields.number("rope_ratio", 1.0)
        bias = fields.flag("add_qkv_bias", True)
        cfg = super().read(fields.with_default("rope_theta", theta))
        return replace(cfg, qkv_bias=bias, rope_interleaved=True)


_NAMES = {
    "embedding.word_embeddings": "embed_tokens",
    "encoder.final_layernorm": "norm",
    "encoder.layers.{}.input_layernorm": "layers.{}.input_layernorm",
    "encoder.layers.{}.self_attention.dense": "layers.{}.self_attn.o_proj",
    "encoder.layers.{}.post_attention_layernorm": "layers.{}.post_attention_layernorm",
    "encoder.layers.{}.mlp.dense_h_to_4h": "layers.{}.mlp.gate_up_proj",
    "encoder.layers.{}.mlp.dense_4h_to_h": "layers.{}.mlp.down_proj",
}


def _apart(cfg: DecoderConfig, joined: str, layer: str) -> tuple[WeightConverter, ...]:
    """All queries stand above all keys and all values in `joined`."""
    keys = cfg.num_key_value_heads * cfg.head_dim
    sizes = (cfg.num_attention_heads * cfg.head_dim, keys, keys)
    return tuple(
        split(
            f"{joined}.{part}",
            *(f"{layer}self_attn.{role}_proj.{part}" for role in ("q", "k", "v")),
            sizes=sizes,
        )
        for part in ("weight", "bias")
    )


GGUF = replace(
    GGUF_DECODER,
    architecture="chatglm",
    names=GGUF_DECODER.names.moved("model.", "transformer.").extended(
        {"blk.{}.ffn_up": "transformer.layers.{}.mlp.gate_up_proj"}
    ),
    # llama.cpp's converter leaves the rows joined.
    rules=lambda cfg: _apart(cfg, "blk.{}.attn_qkv", "transformer.layers.{}."),
    partial=True,
    biases=("attn_qkv", "attn_q", "attn_k", "attn_v"),
)


class ChatGLMModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    ignorable = (r"rotary_pos_emb\.inv_freq", r"output_layer\..*")

    rules = stored = tuple(rename(f"{name}.*", f"{own}.*") for name, own in _NAMES.items())

    def sized_rules(self) -> tuple[WeightConverter, ...]:
        """What checkpoints join."""
        return _apart(self.config, "encoder.layers.{}.self_attention.query_key_value", "layers.{}.")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and a gated feed-forward."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=gated_mlp(cfg, joined="gate_up_proj"),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )


class ChatGLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = ChatGLMModel
    base_model_prefix = "transformer"
    rules = stored = (rename("transformer.output_layer.*", "lm_head.*"),)
