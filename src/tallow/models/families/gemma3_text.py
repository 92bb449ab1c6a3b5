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
from tallow.models.rope_fields import read_rope_of
from tallow.nn import Module

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
