"""Granite 3, and Granite with windows: Llama with factors on words, scores, residuals, logits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.causal_lm import define_causal
from tallow.models.config import ATTENTIONS, DecoderConfig, read_windows
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA, Key, Kind, windows_every, write_windows
from tallow.nn import Module, RMSNorm, param
from tallow.weights import WeightSource
from tallow.weights.arrange import rename


class Config(DecoderConfig):
    """Of Hugging Face's `GraniteConfig`."""

    @property
    def logits_scaling(self) -> float:
        """What logits are divided by."""
        return 1 / self.logit_scale

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Factors are 1 unless given, that of scores too."""
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        return replace(
            super().read(fields),
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=mlp_bias,
            embedding_scale=fields.real("embedding_multiplier", 1.0),
            query_scale=fields.real("attention_multiplier", 1.0),
            residual_scale=fields.real("residual_multiplier", 1.0),
            logit_scale=1 / fields.number("logits_scaling", 1.0),
        )


class WindowConfig(Config):
    """Of Hugging Face's `GraniteSWAConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Each fourth layer from the first on has no window; `layer_rope_theta` of 0 turns none."""
        fields = fields.with_defaults(
            num_key_value_heads=4, max_position_embeddings=8192, rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        )  # fmt: skip
        cfg = super().read(fields)
        layers = cfg.num_hidden_layers
        kinds = [ATTENTIONS[bool(i % 4)] for i in range(layers)]
        default = 0 if fields.has("sliding_window") else 128
        cfg = replace(cfg, sliding_windows=read_windows(fields, layers, default, kinds=kinds))
        return _turned(cfg, fields)


def _turned(cfg: Any, fields: Fields) -> Any:
    """The bases of layers with a window and without, of which each layer has its own or none."""
    name, layers = "layer_rope_theta", cfg.num_hidden_layers
    bases = fields.get(name)
    if bases is None:
        return cfg
    good = isinstance(bases, list) and len(bases) >= layers
    if not good or not all(type(base) in (int, float) and 0 <= base < 1e30 for base in bases):
        raise fields.error(name, f"{layers} numbers, 0 or above", bases)
    bases = [float(base) for base in bases[:layers]]
    whole, local = ({bases[i] for i in range(layers) if bool(cfg.window(i)) == there and bases[i]}
                    for there in (False, True))  # fmt: skip
    if len(whole) > 1 or len(local) > 1 or any(base < 1 for base in whole | local):
        wanted = "one base of at least 1 of layers with a window, and one of the others"
        raise fields.error(name, wanted, bases)
    theta = next(iter(whole or local), cfg.rope_theta)
    inner = next(iter(local), theta)
    return replace(
        cfg,
        rope_theta=theta,
        local_rope=None if inner == theta else (inner, cfg.rope_scaling),
        rope_layers=() if all(bases) else tuple(map(bool, bases)),
    )


GGUF_GRANITE = GGUF_LLAMA.but(
    keys=(
        Key("embedding_scale", "embedding_multiplier", "f32", "embedding_scale"),
        Key("attention.scale", "attention_multiplier", "f32", "query_scale"),
        Key("residual_scale", "residual_multiplier", "f32", "residual_scale"),
        Key("logit_scale", "logits_scaling", "f32", "logits_scaling"),
    ),
    architecture="granite",
)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    found = windows_every(4)(fields, source)
    pattern, layers = fields.get("attention.rope_pattern"), fields.integer("block_count")
    if pattern is None:
        return found
    if isinstance(pattern, str) or len(pattern) < layers:
        raise fields.error("attention.rope_pattern", f"{layers} flags", pattern)
    theta = fields.number("rope.freq_base", 10000.0)
    return {**found, "layer_rope_theta": [theta if each else 0 for each in pattern[:layers]]}


def _to_file(cfg: WindowConfig) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp has one base for all layers, and wants windows."""
    if cfg.local_rope is not None:
        found = f"{cfg.rope_theta:g} and {cfg.local_rope[0]:g}"
        raise ModelError(f"config: layer_rope_theta: expected one base for GGUF, found {found}")
    if not cfg.sliding_windows:
        raise ModelError("config: sliding_window: expected one for GGUF, found none")
    turned = {"attention.rope_pattern": ("arr[bool]", list(cfg.rope_layers))}
    return {**write_windows(cfg), **(turned if cfg.rope_layers else {})}  # type: ignore[dict-item]


GGUF_GRANITE_SWA = GGUF_GRANITE.but(
    architecture="granite_swa",
    rules=lambda cfg: (rename("blk.{}.attn_sinks.weight", "model.layers.{}.self_attn.sinks"),),
    read=_of_file,
    write=_to_file,
)


class GraniteModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    scales_given: ClassVar[bool] = True


define_causal(globals(), "Granite", GraniteModel)


class GraniteSWAModel(GraniteModel):
    """The decoder with windows and sinks, without a head."""

    config_class = WindowConfig

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with sinks, and a gated feed-forward."""
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, sinks=param(cfg.num_attention_heads)),
            mlp=gated_mlp(cfg),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
            scale=cfg.residual_scale,
        )


define_causal(globals(), "GraniteSWA", GraniteSWAModel)
