"""K-EXAONE: windows by turns, rotated there alone, and experts by sigmoids with corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import Rope
from tallow.models.blocks.moe import stacked_experts
from tallow.models.causal_lm import CausalLM
from tallow.models.config import ATTENTIONS, every, read_kinds, read_windows
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
from tallow.models.gguf_layout import GGUF_DECODER, Kind, windows_every, write_windows
from tallow.nn import Module, RMSNorm
from tallow.weights import WeightSource
from tallow.weights.arrange import rename

_PERIOD = 4  # every so many layers one attends to all


class Config(CorrectedConfig):
    """Of Hugging Face's `ExaoneMoeConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`mlp_layer_types` goes before `first_k_dense_replace`."""
        fields = fields.with_defaults(
            num_key_value_heads=32, rms_norm_eps=1e-5, pad_token_id=0, sliding_window=4096,
            moe_intermediate_size=1024, num_experts=64, num_experts_per_tok=8,
            num_shared_experts=1, first_k_dense_replace=1, norm_topk_prob=True,
            routed_scaling_factor=2.5,
        )  # fmt: skip
        shared = fields.integer("num_shared_experts", low=0, high=1024)
        cfg = super().read(fields.with_value("n_shared_experts", shared))
        layers = cfg.num_hidden_layers
        kinds = read_kinds(fields, _kinds(fields, layers))
        return replace(
            cfg,
            dense_layers=_dense(fields, cfg.dense_layers, layers),
            sliding_windows=read_windows(fields, layers, 4096, kinds=kinds),
            rope_layers=tuple(kind == ATTENTIONS[1] for kind in kinds),
        )


def _kinds(fields: Fields, layers: int) -> list[str]:
    """By `sliding_window_pattern`, a period, or letters of which L has a window and G none."""
    pattern = fields.get("sliding_window_pattern")
    if fields.get("layer_types") is not None:
        return [ATTENTIONS[1]] * layers
    if not isinstance(pattern, str):
        return every(fields.integer("sliding_window_pattern", _PERIOD), layers)
    if not pattern or set(pattern) - {"L", "G"}:
        raise fields.error("sliding_window_pattern", "a period, or letters L and G", pattern)
    return [ATTENTIONS[pattern[i % len(pattern)] == "L"] for i in range(layers)]


def _dense(fields: Fields, usual: tuple[int, ...], layers: int) -> tuple[int, ...]:
    kinds = fields.get("mlp_layer_types")
    if kinds is None:
        return usual
    good = isinstance(kinds, list) and len(kinds) >= layers
    if not good or any(kind not in ("dense", "sparse") for kind in kinds):
        raise fields.error("mlp_layer_types", f"{layers} of dense or sparse", kinds)
    return tuple(i for i in range(layers) if kinds[i] == "dense")


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    found = read_corrected(fields, source)
    return {
        **found,
        **windows_every(_PERIOD)(fields, source),
        "num_shared_experts": found["n_shared_experts"],
    }


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    return {
        **write_corrected(cfg),
        **write_windows(cfg),
        "expert_shared_feed_forward_length": ("u32", cfg.shared_intermediate_size),
    }


GGUF = GGUF_DECODER.but(
    names=CORRECTED_NAMES,
    keys=CORRECTED_KEYS,
    architecture="exaone-moe",
    rules=corrections,
    read=_of_file,
    write=_to_file,
    biases=("attn_q", "attn_k", "attn_v"),
    required=("output.weight",),
)


class ExaoneMoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = (
        *stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts"),
        rename(
            "layers.{}.mlp.e_score_correction_bias", "layers.{}.mlp.gate.e_score_correction_bias"
        ),
    )

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads, and experts or a gated feed-forward."""
        norms = {n: RMSNorm(cfg.head_dim, cfg.rms_norm_eps) for n in ("q_norm", "k_norm")}
        mlp = corrected_experts(cfg) if cfg.is_sparse(index) else None
        return decoder_layer(cfg, index, rope, mlp=mlp, **norms)


class ExaoneMoe(CausalLM):
    """The decoder with a head."""

    config_class = Config
    model_class = ExaoneMoeModel
    ignorable = (r"mtp\..*",)  # which predicts tokens further on
