"""StableLM 2: partly rotated heads and a gated feed-forward behind layer norms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Norms, ParallelLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.norms import ListedNorm
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, layer_norm_keys
from tallow.nn import LayerNorm, Module
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, split


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `StableLmConfig`."""

    rotary_share: ClassVar[float | None] = 0.25
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
    }
    head_norms: bool = False
    parallel: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Heads may have norms of their own, and parts stand beside each other."""
        eps = fields.number("layer_norm_eps", 1e-5)
        fields = fields.with_value("head_dim", None).with_value("rms_norm_eps", eps)
        return replace(
            super().read(fields),
            qkv_bias=fields.flag("use_qkv_bias"),
            head_norms=fields.flag("qk_layernorm"),
            parallel=fields.flag("use_parallel_residual"),
        )


_LAYER = "model.layers.{}.self_attn."


def _head_norms(cfg: Config) -> tuple[WeightConverter, ...]:
    """Files hold the norms of all heads `(heads, size)`, the model one of each head."""
    if not cfg.head_norms:
        return ()
    rules: list[WeightConverter] = []
    for role, heads_ in (("q", cfg.num_attention_heads), ("k", cfg.num_key_value_heads)):
        joined, norms = f"{_LAYER}{role}_norms", f"{_LAYER}{role}_layernorm.norms"
        rules += [
            mapped(f"blk.{{}}.attn_{role}_norm.weight", joined, _rows(heads_, cfg.head_dim)),
            split(joined, *(f"{norms}.{head}.weight" for head in range(heads_))),
        ]
    return tuple(rules)


def _rows(count: int, size: int) -> TensorMap:
    """`(count, size)` → one behind another."""
    return TensorMap(
        lambda x: x.reshape(count * size), lambda x: x.reshape(count, size),
        lambda _: (count * size,), lambda _: (count, size),
    )  # fmt: skip


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """What a block has says how it is made, as llama.cpp reads it."""
    return {
        "use_qkv_bias": "blk.0.attn_q.bias" in source,
        "qk_layernorm": "blk.0.attn_q_norm.weight" in source,
        "use_parallel_residual": "blk.0.ffn_norm.weight" not in source,
    }


GGUF = replace(
    GGUF_DECODER,
    keys=(
        *layer_norm_keys("layer_norm_eps"),
        Key("use_parallel_residual", "use_parallel_residual", "bool", attribute="parallel"),
    ),
    rules=_head_norms,
    read=_of_file,
    partial=True,
    biases=("attn_norm", "attn_q", "attn_k", "attn_v", "ffn_norm"),
    required=("output.weight",),
)


class StableLmModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and gated feed-forward, one behind or beside the other."""
        parts: dict[str, Any] = {"norm_names": ("q_layernorm", "k_layernorm")}
        if cfg.head_norms:
            norm = partial(ListedNorm, size=cfg.head_dim, eps=cfg.rms_norm_eps)
            parts["q_norm"] = norm(cfg.num_attention_heads)
            parts["k_norm"] = norm(cfg.num_key_value_heads)
        kind = ParallelLayer if cfg.parallel else DecoderLayer
        return kind(
            self_attn=decoder_attention(cfg, index, rope, **parts),
            mlp=gated_mlp(cfg),
            norm=partial(StableLmModel.make_norm, cfg),
            norms=Norms(before_mlp=None) if cfg.parallel else Norms(),
        )

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """A layer norm."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


define_causal(
    globals(), "StableLm", StableLmModel,
    heads.SequenceClassification, heads.TokenClassification,
)  # fmt: skip
