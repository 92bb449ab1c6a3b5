"""Command R (Cohere) 1 and 2: parallel parts behind one layer norm, neighbours rotated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Norms, ParallelLayer, Rope
from tallow.models.blocks.norms import HeadsNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig, every, read_kinds, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import (
    GGUF_DECODER,
    Key,
    layer_norm_keys,
    windows_every,
    write_windows,
)
from tallow.nn import LayerNorm, Module
from tallow.weights import WeightSource

PERIOD = 4  # of Command R7B: every so many layers one attends to all, without a rotation


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `CohereConfig`."""

    theta: ClassVar[float] = 500000.0
    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 8192,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    head_norms: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`use_qk_norm` normalises heads of queries and keys."""
        fields = fields.with_value("rms_norm_eps", fields.number("layer_norm_eps", 1e-5))
        bias = fields.flag("attention_bias")
        return replace(
            super().read(fields),
            qkv_bias=bias,
            output_bias=bias,
            rope_interleaved=True,
            logit_scale=fields.real("logit_scale", 0.0625),
            head_norms=fields.flag("use_qk_norm"),
        )


class Cohere2Config(Config):
    """Of Hugging Face's `Cohere2Config`."""

    # Published files repeat what the family is.
    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {
        "layer_switch",
        "order_of_interleaved_layers",
        "position_embedding_type",
        "rotary_pct",
        "use_embedding_sharing",
        "use_gated_activation",
        "use_parallel_block",
        "use_parallel_embedding",
    }
    theta: ClassVar[float] = 10000.0
    defaults: ClassVar[Mapping[str, Any]] = {**Config.defaults, "sliding_window": 4096}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers with a window rotate, the others do not."""
        fields = fields.with_value("use_qk_norm", None).with_value("head_dim", None)
        cfg = super().read(fields)
        period = fields.integer("sliding_window_pattern", PERIOD)
        kinds = every(period, cfg.num_hidden_layers)
        fields = fields.with_defaults(**cls.defaults)
        fields.integer("sliding_window")  # null is refused
        rotated = tuple(kind != "full_attention" for kind in read_kinds(fields, kinds))
        windows = read_windows(fields, cfg.num_hidden_layers, 0, kinds=kinds)
        return replace(cfg, sliding_windows=windows, rope_layers=rotated)


def _read(fields: Fields, source: WeightSource) -> dict[str, Any]:
    return {"use_qk_norm": "blk.0.attn_q_norm.weight" in source}


GGUF_COHERE = replace(
    GGUF_DECODER,
    architecture="command-r",
    keys=(*layer_norm_keys("layer_norm_eps"), Key("logit_scale", "logit_scale", "f32")),
    biases=(),
    read=_read,
)
GGUF_COHERE2 = replace(
    GGUF_DECODER,
    keys=(*layer_norm_keys("layer_norm_eps"), Key("logit_scale", "logit_scale", "f32")),
    biases=(),
    read=windows_every(PERIOD),
    write=write_windows,
)


class CohereModel(DecoderModel):
    """The decoder without a head."""

    config_class: ClassVar[Any] = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and gated feed-forward of the same normalised input."""
        parts: dict[str, Any] = {}
        if cfg.head_norms:
            norm = partial(HeadsNorm, size=cfg.head_dim, eps=cfg.rms_norm_eps)
            parts["q_norm"] = norm(cfg.num_attention_heads)
            parts["k_norm"] = norm(cfg.num_key_value_heads)
        return ParallelLayer(
            self_attn=decoder_attention(cfg, index, rope, **parts),
            mlp=gated_mlp(cfg),
            norm=partial(CohereModel.make_norm, cfg),
            norms=Norms(before_mlp=None),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm without a bias."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps, bias=False)


class Cohere2Model(CohereModel):
    """The decoder without a head."""

    config_class: ClassVar[Any] = Cohere2Config


define_causal(globals(), "Cohere", CohereModel)
define_causal(globals(), "Cohere2", Cohere2Model)
