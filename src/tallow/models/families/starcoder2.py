"""StarCoder 2: rotary attention and a plain feed-forward behind layer norms, with biases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Mlp, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, layer_norm_keys
from tallow.nn import LayerNorm, Module


class Config(DecoderConfig):
    """Of Hugging Face's `Starcoder2Config`."""

    act: ClassVar[str] = "gelu_pytorch_tanh"
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`use_bias` is of all products; a `sliding_window` is of all layers."""
        eps = fields.number("norm_epsilon", 1e-5)
        cfg = super().read(fields.with_value("rms_norm_eps", eps))
        bias = fields.flag("use_bias", True)
        fields = fields.with_value("layer_types", None)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=bias,
            sliding_windows=read_windows(fields, cfg.num_hidden_layers, 0),
        )


GGUF = replace(
    GGUF_DECODER.but(
        names={
            "blk.{}.ffn_up": "model.layers.{}.mlp.c_fc",
            "blk.{}.ffn_down": "model.layers.{}.mlp.c_proj",
        }
    ),
    keys=layer_norm_keys("norm_epsilon"),
    constants={"use_bias": True},
)


class Starcoder2Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Rotary attention and a plain feed-forward."""
        names = ("c_fc", "c_proj")
        act, sizes = ACTIVATIONS[cfg.hidden_act], (cfg.hidden_size, cfg.intermediate_size)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=Mlp(*sizes, act, bias=cfg.mlp_bias, names=names),
            norm=partial(Starcoder2Model.make_norm, cfg),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(
    globals(), "Starcoder2", Starcoder2Model,
    heads.SequenceClassification, heads.TokenClassification,
)  # fmt: skip
