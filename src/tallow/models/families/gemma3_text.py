"""Gemma 3, the decoder of text: Gemma 2 with normalised heads, and two rotations by window."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.gemma import GemmaDecoder, SoftCappedConfig
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import every, read_windows
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import (
    GGUF_DECODER,
    Key,
    Kind,
    offset_norms,
    windows_every,
    write_windows,
)
from tallow.models.rope_fields import read_rope_of
from tallow.nn import Module
from tallow.weights import WeightSource

PERIOD = 6  # every so many layers one attends to all


class Config(SoftCappedConfig):
    """Of Hugging Face's `Gemma3TextConfig`."""

    theta: ClassVar[float] = 1_000_000.0
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*SoftCappedConfig.without_effect, "_sliding_window_pattern"}
    )
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers with a window rotate by a base of their own, and unscaled."""
        fields = fields.with_defaults(**cls.defaults)
        whole = read_rope_of(fields, "full_attention", cls.theta)
        local = read_rope_of(fields, "sliding_attention", 10000.0, base="rope_local_base_freq")
        cfg = super().read(fields.with_value("rope_parameters", None))
        layers, period = cfg.num_hidden_layers, fields.integer("sliding_window_pattern", PERIOD)
        windows = read_windows(fields, layers, 0, kinds=every(period, layers))
        return replace(
            cfg,
            rope_theta=whole[0],
            rope_scaling=whole[1],
            local_rope=local,
            sliding_windows=windows,
        )


LARGEST = 62  # layers of the model whose scores are scaled by the width of a head of the model


def _read(fields: Fields, source: WeightSource) -> dict[str, Any]:
    width = fields.integer("embedding_length") // fields.integer("attention.head_count")
    size = fields.integer("attention.key_length", width)
    return {
        **windows_every(PERIOD)(fields, source),
        "query_pre_attn_scalar": width if fields.integer("block_count") == LARGEST else size,
        "rope_local_base_freq": fields.number("rope.freq_base_swa", 10000.0),
    }


def _write(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    return {**write_windows(cfg), "rope.freq_base_swa": ("f32", cfg.local_rope[0])}


GGUF = GGUF_DECODER.but(
    keys=(Key("final_logit_softcapping", "final_logit_softcapping", "f32"),),
    architecture="gemma3",
    rules=offset_norms,
    biases=(),
    read=_read,
    write=_write,
)


class Gemma3TextModel(GemmaDecoder):
    """The decoder without a head."""

    config_class = Config

    @classmethod
    def make_attention(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads."""
        norm = partial(OffsetNorm, cfg.head_dim, cfg.rms_norm_eps)
        return decoder_attention(cfg, index, rope, q_norm=norm(), k_norm=norm())


define_causal(globals(), "Gemma3", Gemma3TextModel)
define_causal(globals(), "Gemma3Text", Gemma3TextModel, heads.SequenceClassification)
