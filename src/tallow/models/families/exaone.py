"""EXAONE 3 and 3.5: Llama under names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER
from tallow.weights.arrange import rename


class Config(DecoderConfig):
    """Of Hugging Face's `ExaoneConfig`."""

    theta: ClassVar[float] = 500000.0
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Published configs have `num_layers`, `layer_norm_epsilon` and `activation_function`."""
        older = {
            "num_hidden_layers": "num_layers",
            "rms_norm_eps": "layer_norm_epsilon",
            "hidden_act": "activation_function",
        }
        for name, old in older.items():
            if fields.get(name) is None and fields.get(old) is not None:
                fields = fields.with_value(name, fields.get(old))
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        cfg = super().read(fields)
        return replace(cfg, qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)


_STORED = {
    "wte": "embed_tokens",
    "ln_f": "norm",
    "h.{}.ln_1": "layers.{}.input_layernorm",
    "h.{}.ln_2": "layers.{}.post_attention_layernorm",
    "h.{}.attn.attention.q_proj": "layers.{}.self_attn.q_proj",
    "h.{}.attn.attention.k_proj": "layers.{}.self_attn.k_proj",
    "h.{}.attn.attention.v_proj": "layers.{}.self_attn.v_proj",
    "h.{}.attn.attention.out_proj": "layers.{}.self_attn.o_proj",
    "h.{}.mlp.c_fc_0": "layers.{}.mlp.gate_proj",
    "h.{}.mlp.c_fc_1": "layers.{}.mlp.up_proj",
    "h.{}.mlp.c_proj": "layers.{}.mlp.down_proj",
}
GGUF = replace(
    GGUF_DECODER,
    architecture="exaone",
    names=GGUF_DECODER.names.moved("model.", "transformer."),
    biases=(),
)


class ExaoneModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = tuple(rename(f"{name}.*", f"{own}.*") for name, own in _STORED.items())


class Exaone(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = ExaoneModel
    base_model_prefix = "transformer"
