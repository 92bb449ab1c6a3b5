"""dots.llm1: normalised heads, and experts chosen by sigmoids with corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import stacked_experts
from tallow.models.causal_lm import define_causal
from tallow.models.config import read_windows
from tallow.models.corrected_moe import (
    CORRECTED_KEYS,
    CORRECTED_NAMES,
    CorrectedConfig,
    corrected_experts,
    corrections,
    read_corrected,
    write_corrected,
)
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Kind
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource


class Config(CorrectedConfig):
    """Of Hugging Face's `Dots1Config`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Windows stand in the layers from `max_window_layers` on, of which there may be none."""
        cfg, bias = super().read(fields), fields.flag("attention_bias")
        first = fields.integer("max_window_layers", 62, low=0)
        default = 0 if fields.has("sliding_window") else 4096
        windows = read_windows(fields, cfg.num_hidden_layers, default, first)
        return replace(cfg, qkv_bias=bias, output_bias=bias, sliding_windows=windows)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    return {**read_corrected(fields, source), "sliding_window": None}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp has places for as many keys as queries, and for an expert that all tokens take."""
    if cfg.num_key_value_heads != cfg.num_attention_heads:
        wanted = f"{cfg.num_attention_heads}, as many as queries, in a dots.llm1 for GGUF"
        found = cfg.num_key_value_heads
        raise ModelError(f"config: num_key_value_heads: expected {wanted}, found {found}")
    if not cfg.shared_intermediate_size:
        wanted = "at least 1 in a dots.llm1 for GGUF"
        raise ModelError(f"config: n_shared_experts: expected {wanted}, found 0")
    return write_corrected(cfg)


GGUF = GGUF_DECODER.but(
    names=CORRECTED_NAMES,
    keys=CORRECTED_KEYS,
    architecture="dots1",
    rules=corrections,
    read=_of_file,
    write=_to_file,
    biases=("attn_q", "attn_k", "attn_v"),
    required=("output.weight",),
)


class Dots1Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention, and experts or a gated feed-forward."""
        norms = {n: RMSNorm(cfg.head_dim, cfg.rms_norm_eps) for n in ("q_norm", "k_norm")}
        mlp = corrected_experts(cfg) if cfg.is_sparse(index) else None
        return decoder_layer(cfg, index, rope, mlp=mlp, **norms)


define_causal(globals(), "Dots1", Dots1Model)
