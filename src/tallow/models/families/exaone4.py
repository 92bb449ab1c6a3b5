"""EXAONE 4: norms behind each part and on heads; layers without a window know no positions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import POST_NORMS, DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.config import ATTENTIONS, DecoderConfig, read_kinds, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, POST_NORM_NAMES, windows_every, write_windows
from tallow.nn import Module, RMSNorm

PERIOD = 4  # every so many layers one attends to all


class Config(DecoderConfig):
    """Of Hugging Face's `Exaone4Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 32,
        "rms_norm_eps": 1e-5,
        "sliding_window": 4096,
        "sliding_window_pattern": PERIOD,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Without a `sliding_window` all layers attend to all keys, and rotate."""
        cfg = super().read(fields)
        fields = fields.with_defaults(**cls.defaults)
        if fields.get("sliding_window") is None:
            fields.get("sliding_window_pattern")
            return cfg
        layers, local = cfg.num_hidden_layers, [True] * cfg.num_hidden_layers
        if fields.get("layer_types") is None:  # else the pattern may be a text
            period = fields.integer("sliding_window_pattern")
            local = [bool((i + 1) % period) for i in range(layers)]
        fields.get("sliding_window_pattern")
        kinds = read_kinds(fields, [ATTENTIONS[each] for each in local])
        return replace(
            cfg,
            sliding_windows=read_windows(fields, layers, 0, kinds=kinds),
            rope_layers=tuple(kind == ATTENTIONS[1] for kind in kinds),
        )


GGUF = GGUF_DECODER.but(
    names=POST_NORM_NAMES, biases=(), read=windows_every(PERIOD), write=write_windows
)


class Exaone4Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads, and a gated feed-forward, each before its norm."""
        norm = partial(RMSNorm, eps=cfg.rms_norm_eps)
        q_norm, k_norm = norm(cfg.head_dim), norm(cfg.head_dim)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, q_norm=q_norm, k_norm=k_norm),
            mlp=gated_mlp(cfg),
            norm=partial(norm, cfg.hidden_size),
            norms=POST_NORMS,
        )


define_causal(
    globals(), "Exaone4", Exaone4Model,
    heads.SequenceClassification, heads.TokenClassification, heads.QuestionAnswering,
)  # fmt: skip
