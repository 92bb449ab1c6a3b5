"""MiniCPM 3: latent attention in a dense decoder, with factors on words, residuals and logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import decoder_heads as heads
from tallow.models.causal_lm import define_causal
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.latent_decoder import LatentModel, LatentSizes
from tallow.models.latent_gguf import LATENT_NAMES
from tallow.weights import WeightSource


@dataclass(frozen=True)
class Config(LatentSizes):
    """Of Hugging Face's `MiniCPM3Config`."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "kv_lora_rank": 256,
        "q_lora_rank": 768,
        "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32,
        "scale_emb": 12.0,
        "scale_depth": 1.4,
        "dim_model_base": 256,
    }

    @property
    def key_length(self) -> int:
        """The size of a head of queries and keys."""
        return self.qk_nope_head_dim + self.head_dim

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """A `null` in the place of a factor is a factor of 1."""
        fields = fields.with_defaults(**cls.defaults)
        layers, size = fields.integer("num_hidden_layers"), fields.integer("hidden_size")
        if fields.get("v_head_dim") is None:
            fields = fields.with_value("v_head_dim", size // fields.integer("num_attention_heads"))
        cfg, mlp_bias = super().read(fields), fields.flag("mlp_bias")
        depth, base = math.sqrt(layers), float(size)
        if fields.get("scale_depth") is not None:
            depth = fields.real("scale_depth")
        if fields.get("dim_model_base") is not None:
            base = fields.number("dim_model_base")
        return replace(
            cfg,
            mlp_bias=mlp_bias,
            embedding_scale=fields.real("scale_emb"),
            residual_scale=depth / math.sqrt(layers),
            logit_scale=base / size,
            query_scale=cfg.key_length**-0.5,
        )


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Factors are those of MiniCPM 3 4B, which llama.cpp has no keys for."""
    rotated = fields.integer("rope.dimension_count", high=65536)
    whole = fields.integer("attention.key_length", high=65536)
    if whole <= rotated:
        wanted = f"more than the {rotated} that are rotated"
        raise fields.error("attention.key_length", wanted, whole)
    return {"qk_nope_head_dim": whole - rotated, "v_head_dim": fields.get("attention.value_length")}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    found = (
        cfg.embedding_scale,
        cfg.residual_scale * math.sqrt(cfg.num_hidden_layers),
        cfg.logit_scale * cfg.hidden_size,
    )
    wanted = {"scale_emb": 12.0, "scale_depth": 1.4, "dim_model_base": 256.0}
    for (name, value), own in zip(wanted.items(), found, strict=True):
        if not math.isclose(value, own, rel_tol=1e-6):
            where = "in a MiniCPM 3 for GGUF"
            raise ModelError(f"config: {name}: expected {value:g} {where}, found {own:g}")
    if not cfg.q_lora_rank:
        raise ModelError("config: q_lora_rank: expected one in a MiniCPM 3 for GGUF, found none")
    return {
        "attention.key_length": ("u32", cfg.key_length),
        "attention.value_length": ("u32", cfg.v_head_dim),
    }


_ATTENTION = "model.layers.{}.self_attn."
GGUF = replace(
    GGUF_DECODER.but(names={**LATENT_NAMES, "blk.{}.attn_kv_b": _ATTENTION + "kv_b_proj"}),
    keys=(
        *(key for key in GGUF_DECODER.keys if key.name != "attention.key_length"),
        Key("rope.dimension_count", "qk_rope_head_dim", attribute="head_dim"),
        Key("attention.q_lora_rank", "q_lora_rank"),
        Key("attention.kv_lora_rank", "kv_lora_rank"),
    ),
    read=_of_file,
    write=_to_file,
    latent=True,
    untyped=True,
    biases=(),
)


class MiniCPM3Model(LatentModel):
    """The decoder without a head."""

    config_class = Config


define_causal(globals(), "MiniCPM3", MiniCPM3Model, heads.SequenceClassification)
