"""Phi-3.5-MoE: layer norms, and two experts that SparseMixer chooses (arXiv 2409.12136)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks.moe import Choice, Experts, Router, SparseMlp, block_sparse_experts
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.moe_config import MoeConfig
from tallow.nn import LayerNorm, Module
from tallow.ops import cat, maximum, softmax, topk
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Config(MoeConfig):
    """Of Hugging Face's `PhimoeConfig`; `spread` is how far behind the best an expert may be."""

    theta: ClassVar[float] = 1000000.0

    spread: float = 0.02

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Two experts are chosen; cosines and sines have one factor whatever the length."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=131072, num_experts_per_tok=2,
            rms_norm_eps=1e-5,
        )  # fmt: skip
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=16)
        if fields.integer("num_experts_per_tok") != 2:
            raise fields.error("num_experts_per_tok", "2", fields.get("num_experts_per_tok"))
        fields = fields.with_value("moe_intermediate_size", fields.get("intermediate_size"))
        cfg = super().read(_with_one_factor(fields))
        bias, window = fields.flag("attention_bias"), 0
        if fields.get("sliding_window") is not None:
            window = fields.integer("sliding_window")
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            head_bias=fields.flag("lm_head_bias"),
            spread=2 * fields.number("router_jitter_noise", 0.01),
            sliding_windows=(window,) * cfg.num_hidden_layers if 0 < window < cfg.context else (),
        )


def _with_one_factor(fields: Fields) -> Fields:
    name = "rope_scaling" if fields.get("rope_parameters") is None else "rope_parameters"
    given = fields.get(name)
    if not isinstance(given, dict) or "short_mscale" not in given:
        return fields
    rope = fields.scope(name)
    short, long = rope.number("short_mscale"), rope.number("long_mscale")
    if short != long:
        raise rope.error("long_mscale", f"{short:g}, as short_mscale (not supported)", long)
    own = {key: value for key, value in given.items() if not key.endswith("_mscale")}
    return fields.with_value(name, {**own, "attention_factor": short})


class MixerRouter(Router):
    """The best expert and the second: each worth its likelihood among those close to it."""

    def __init__(self, size: int, experts: int, spread: float) -> None:
        super().__init__(size, experts, self._of_scores)
        self._spread = spread

    def _of_scores(self, scores: Tensor) -> Choice:
        ids = topk(scores, 2)[1]
        first, second = ids[:, :1], ids[:, 1:]
        rest = scores.scatter(1, first, -math.inf)
        worth = [self._likely(scores, scores, first), self._likely(scores, rest, second)]
        return ids, cat(worth, 1)

    def _likely(self, scores: Tensor, left: Tensor, best: Tensor) -> Tensor:
        top = left.gather(1, best)
        behind = (top - scores) / maximum(scores.abs(), top)
        close = left.masked_fill(behind.gt(self._spread), -math.inf)
        return softmax(close, -1).gather(1, best)


class PhimoeModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = block_sparse_experts("router")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and experts."""
        size, count = cfg.hidden_size, cfg.num_experts
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope),
            mlp=SparseMlp(
                MixerRouter(size, count, cfg.spread),
                Experts(count, size, cfg.moe_intermediate_size),
                router_name="router",
            ),
            norm=partial(PhimoeModel.make_norm, cfg),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(globals(), "Phimoe", PhimoeModel)
