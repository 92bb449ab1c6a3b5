"""ERNIE 4.5 with experts, which corrected likelihoods choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.factories import zeros
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import GatedMlp, Rope
from tallow.models.blocks.moe import Choice, Experts, Router, SparseMlp, stacked_experts
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Kind
from tallow.models.gguf_rows import ROW
from tallow.models.moe_config import (
    EXPERT_KEYS,
    WIDTH_KEY,
    MoeConfig,
    expert_names,
    shared_names,
    write_leading_dense,
)
from tallow.nn import Buffer, Module
from tallow.ops import softmax, topk
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import mapped, rename


@dataclass(frozen=True)
class Config(MoeConfig):
    """Of Hugging Face's `Ernie4_5_MoeConfig`."""

    theta: ClassVar[float] = 500000.0

    norm_min: float = 1e-12

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Experts stand in each `moe_layer_interval`-th layer from a first to a last one."""
        fields = fields.with_defaults(
            num_key_value_heads=4, max_position_embeddings=131072, rms_norm_eps=1e-5,
            moe_intermediate_size=1536, moe_k=6, moe_num_shared_experts=2, pad_token_id=0,
            moe_layer_start_index=1, tie_word_embeddings=True,
            num_experts=fields.get("moe_num_experts") or 64,
        )  # fmt: skip
        fields = fields.with_defaults(num_experts_per_tok=fields.get("moe_k"))
        cfg, bias = super().read(fields), fields.flag("use_bias")
        layers, every = cfg.num_hidden_layers, fields.integer("moe_layer_interval", 1)
        last = fields.get("moe_layer_end_index")
        last = layers - 1 if last in (None, -1) else fields.integer("moe_layer_end_index", low=0)
        first = fields.integer("moe_layer_start_index", low=0)
        sparse = [i for i in range(layers) if first <= i <= last and not (i + 1) % every]
        shared = fields.integer("moe_num_shared_experts", low=0, high=1024)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=bias,
            rope_interleaved=True,
            dense_layers=tuple(i for i in range(layers) if i not in sparse),
            shared_intermediate_size=shared * cfg.moe_intermediate_size,
            norm_min=fields.number("moe_norm_min", 1e-12),
        )


_CORRECTION = "layers.{}.mlp.gate.moe_statics.e_score_correction_bias"


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    return {
        "moe_layer_start_index": fields.integer("leading_dense_block_count", 0, low=0),
        "moe_layer_interval": fields.integer("interleave_moe_layer_step", 1),
        "moe_num_shared_experts": fields.integer("expert_shared_count", 0, low=0),
    }


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp divides by the sum of what is chosen without a bound."""
    if cfg.norm_min > 1e-6:
        wanted = "at most 1e-6 in an ERNIE 4.5 for GGUF"
        raise ModelError(f"config: moe_norm_min: expected {wanted}, found {cfg.norm_min:g}")
    width = cfg.shared_intermediate_size
    return {
        **write_leading_dense(cfg),
        "interleave_moe_layer_step": ("u32", 1),
        **({"expert_shared_feed_forward_length": ("u32", width)} if width else {}),
    }


GGUF = GGUF_DECODER.but(
    names={**expert_names(), **shared_names("shared_experts")},
    keys=(*EXPERT_KEYS, WIDTH_KEY),
    architecture="ernie4_5-moe",
    rules=lambda cfg: (mapped("blk.{}.exp_probs_b.bias", f"model.{_CORRECTION}", ROW),),
    read=_of_file,
    write=_to_file,
    biases=(),
)


class Statics(Module):
    """What is added to likelihoods for the choice alone: `(1, experts)`."""

    def __init__(self, experts: int) -> None:
        self.e_score_correction_bias = Buffer(zeros(1, experts))


class ErnieRouter(Router):
    """The experts with the highest corrected likelihoods, whose own sum to 1 as worth."""

    def __init__(self, size: int, experts: int, chosen: int, smallest: float) -> None:
        super().__init__(size, experts, self._of_scores)
        self.moe_statics = Statics(experts)
        self._chosen, self._smallest = chosen, smallest

    def _of_scores(self, scores: Tensor) -> Choice:
        likely = softmax(scores, -1)
        ids = topk(likely + self.moe_statics.e_score_correction_bias, self._chosen)[1]
        worth = likely.gather(1, ids)
        return ids, worth / worth.sum(-1, keepdim=True).clamp(min=self._smallest)


class ErnieMoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = (
        *stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts"),
        rename(_CORRECTION.replace("gate.", ""), _CORRECTION),
    )
    ignorable = (r"mtp_.*",)  # which predict tokens further on

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention, and experts or a gated feed-forward."""
        return decoder_layer(cfg, index, rope, mlp=_experts(cfg) if cfg.is_sparse(index) else None)


def _experts(cfg: Config) -> SparseMlp:
    size, count, shared = cfg.hidden_size, cfg.num_experts, cfg.shared_intermediate_size
    if cfg.mlp_bias:
        raise ModelError("config: use_bias: expected false beside experts, found true")
    return SparseMlp(
        ErnieRouter(size, count, cfg.num_experts_per_tok, cfg.norm_min),
        Experts(count, size, cfg.moe_intermediate_size),
        shared=GatedMlp(size, shared, bias=False) if shared else None,
    )


define_causal(globals(), "ErnieMoe", ErnieMoeModel)
