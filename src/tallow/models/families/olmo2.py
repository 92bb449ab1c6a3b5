"""OLMo 2 and 3: norms behind each part, and over all queries and keys; OLMo 3 has windows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import POST_NORMS, DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.norms import WholeNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig, every, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, POST_NORM_NAMES, windows_every, write_windows
from tallow.models.rope_fields import read_rope_of
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource

PERIOD = 4  # of OLMo 3: every so many layers one attends to all


class Config(DecoderConfig):
    """Of Hugging Face's `Olmo2Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {"pad_token_id": 1, "rms_norm_eps": 1e-5}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`attention_bias` gives all four projections of the attention a bias."""
        bias = fields.flag("attention_bias")
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias)


class Olmo3Config(Config):
    """Of Hugging Face's `Olmo3Config`."""

    theta: ClassVar[float] = 500000.0
    defaults: ClassVar[Mapping[str, Any]] = {**Config.defaults, "sliding_window": 4096}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """What stretches the rotation counts for layers alone that attend to all keys."""
        fields = fields.with_defaults(**cls.defaults)
        theta, scaling = read_rope_of(fields, "full_attention", cls.theta)
        local = read_rope_of(fields, "sliding_attention", cls.theta, base="")
        cfg = super().read(
            fields.with_value("rope_parameters", None).with_value("rope_scaling", None)
        )
        layers = cfg.num_hidden_layers
        windows = read_windows(fields, layers, 0, kinds=every(PERIOD, layers))
        return replace(
            cfg, rope_theta=theta, rope_scaling=scaling, local_rope=local, sliding_windows=windows
        )


def _read(fields: Fields, source: WeightSource) -> dict[str, Any]:
    """Layers with a window rotate by the same base, unscaled."""
    local = {"rope_theta": fields.number("rope.freq_base", 10000.0)}
    ropes = {"sliding_attention": local}
    return {**windows_every(PERIOD)(fields, source), "rope_parameters": ropes}


GGUF = GGUF_DECODER.but(
    names=POST_NORM_NAMES,
    architecture="olmo2",
    biases=(),
    read=_read,
    write=write_windows,
)


class Olmo2Model(DecoderModel):
    """The decoder without a head."""

    config_class: ClassVar[Any] = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with norms over all heads, and a gated feed-forward, each before its norm."""
        norm, size = partial(WholeNorm, eps=cfg.rms_norm_eps), cfg.head_dim
        q_norm = norm(cfg.num_attention_heads * size)
        k_norm = norm(cfg.num_key_value_heads * size)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, q_norm=q_norm, k_norm=k_norm),
            mlp=gated_mlp(cfg),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
            norms=POST_NORMS,
        )


class Olmo3Model(Olmo2Model):
    """The decoder without a head."""

    config_class: ClassVar[Any] = Olmo3Config


define_causal(globals(), "Olmo2", Olmo2Model, heads.SequenceClassification)
define_causal(globals(), "Olmo3", Olmo3Model, heads.SequenceClassification)
