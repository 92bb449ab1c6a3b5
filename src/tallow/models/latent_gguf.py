"""How decoders of latent attention stand in GGUF files: llama.cpp's architecture deepseek2.

Files hold what keys and values are made with apart, of keys turned for products with queries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.lazy_dataclasses import replace
from tallow.models.gguf_layout import DECODER_KEYS, GGUF_DECODER, GGUFLayout, Key, Kind
from tallow.models.moe_config import (
    EXPERT_KEYS,
    WIDTH_KEY,
    expert_names,
    leading_dense,
    shared_names,
    write_leading_dense,
)
from tallow.weights.arrange import EXCHANGED, TensorMap, WeightConverter, cat, mapped, rename

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.models.latent_decoder import LatentConfig
    from tallow.weights import WeightSource

_LAYER = "model.layers.{}."
_ATTENTION = _LAYER + "self_attn."
_SCALING = "rope.scaling."
_VALUES = "attention.value_length"
_OTHERS = ("attention.head_count_kv", "attention.key_length", "rms_norm_eps")


def _rules(cfg: LatentConfig) -> tuple[WeightConverter, ...]:
    heads, plain, size = cfg.num_attention_heads, cfg.qk_nope_head_dim, cfg.v_head_dim
    rank, keys, values = cfg.kv_lora_rank, _ATTENTION + "k_b", _ATTENTION + "v_b"
    joined = TensorMap(
        lambda x: x.reshape(heads * (plain + size), rank),
        lambda x: x.reshape(heads, plain + size, rank),
        lambda _: (heads * (plain + size), rank),
        lambda _: (heads, plain + size, rank),
    )
    # Blocks of keys lie along the other axis, so that both become floats: a small part of a model.
    return (
        mapped("blk.{}.attn_k_b.weight", keys, _TURNED),
        mapped("blk.{}.attn_v_b.weight", values, _FLOATS),
        cat(keys, values, to=_ATTENTION + "kv_b", dim=1, sizes=(plain, size)),
        mapped(_ATTENTION + "kv_b", _ATTENTION + "kv_b_proj.weight", joined),
        rename("blk.{}.exp_probs_b.bias", _LAYER + "mlp.gate.e_score_correction_bias"),
    )


_TURNED = replace(EXCHANGED, values=True)
_FLOATS = TensorMap(lambda x: x, lambda x: x, values=True)


def read_latent(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Sizes of heads by their keys without latents, and yarn with its growth in the scores."""
    rotated = fields.integer("rope.dimension_count", high=65536)
    key, sizes = "attention.key_length_mla", dict[str, int]()
    if key not in fields and "blk.0.attn_kv_b.weight" in source:
        # Before April 2025 both were one tensor, and sizes those of whole heads.
        key, sizes = "attention.key_length", {"v_head_dim": fields.integer(_VALUES, high=65536)}
    whole = fields.integer(key, high=65536)
    if whole <= rotated:
        wanted = f"more than the {rotated} that are rotated"
        raise fields.error(key, wanted, whole)
    if not sizes and "blk.0.attn_k_b.weight" not in source:
        wanted = "attn_k_b and attn_v_b, or attn_kv_b of older files"
        raise ModelError(f"{source.label}: expected {wanted}, found none of them")
    return {
        **leading_dense(fields, source),
        **sizes,
        "q_lora_rank": fields.get("attention.q_lora_rank") or None,
        "qk_nope_head_dim": whole - rotated,
        "n_group": fields.integer("expert_group_count", 1),
        "topk_group": fields.integer("expert_group_used_count", 1),
        "rope_parameters": _yarn(fields),
    }


def _yarn(fields: Fields) -> dict[str, Any]:
    theta = {"rope_theta": fields.number("rope.freq_base", 10000.0)}
    kind = fields.text(_SCALING + "type", "none")
    if kind == "none" or (kind == "linear" and fields.number(_SCALING + "factor", 1.0) == 1):
        return {**theta, "rope_type": "default"}
    if kind != "yarn":
        raise fields.error(_SCALING + "type", "none or yarn", kind)
    growth = 10 * fields.number(_SCALING + "yarn_log_multiplier", 0.0)
    return {
        **theta,
        "rope_type": "yarn",
        "factor": fields.number(_SCALING + "factor", 1.0),
        "original_max_position_embeddings": fields.integer(_SCALING + "original_context_length"),
        "beta_fast": fields.number(_SCALING + "yarn_beta_fast", 32.0),
        "beta_slow": fields.number(_SCALING + "yarn_beta_slow", 1.0),
        **({"mscale": growth, "mscale_all_dim": growth} if growth else {}),
    }


def write_latent(cfg: LatentConfig) -> dict[str, tuple[Kind, Any]]:
    """What `keys` do not say; refused is what llama.cpp has no place for.

    Raises:
        ModelError: layers without experts behind others, shared experts of another width, or
            another scaling than yarn with equal `mscale` and `mscale_all_dim`.
    """
    whole = cfg.qk_nope_head_dim + cfg.head_dim
    found: dict[str, tuple[Kind, Any]] = {
        "attention.head_count_kv": ("u32", 1),
        "attention.key_length": ("u32", cfg.kv_lora_rank + cfg.head_dim),
        "attention.value_length": ("u32", cfg.kv_lora_rank),
        "attention.key_length_mla": ("u32", whole),
        # 0 for none: llama.cpp does without the key in models of 26, 27 or 48 layers only.
        "attention.q_lora_rank": ("u32", cfg.q_lora_rank),
        **write_leading_dense(cfg),
    }
    if cfg.n_group > 1:
        found["expert_group_count"] = ("u32", cfg.n_group)
        found["expert_group_used_count"] = ("u32", cfg.topk_group)
    scaling = cfg.rope_scaling
    if scaling is not None:
        growth = (math.sqrt((cfg.query_scale or 1.0) * math.sqrt(whole)) - 1) / math.log(
            scaling.factor
        )
        factor = scaling.attention_factor or 1.0
        if scaling.kind != "yarn" or abs(factor - 1) > 1e-6 or growth <= 0:
            wanted = "yarn with equal mscale and mscale_all_dim"
            raise ModelError(f"config: rope_parameters: expected {wanted} in a DeepSeek for GGUF")
        found[_SCALING + "attn_factor"] = ("f32", 1.0)
        found[_SCALING + "yarn_log_multiplier"] = ("f32", growth)
    return found


LATENT_NAMES = {
    "blk.{}.attn_q_a": _ATTENTION + "q_a_proj",
    "blk.{}.attn_q_a_norm": _ATTENTION + "q_a_layernorm",
    "blk.{}.attn_q_b": _ATTENTION + "q_b_proj",
    "blk.{}.attn_kv_a_mqa": _ATTENTION + "kv_a_proj_with_mqa",
    "blk.{}.attn_kv_a_norm": _ATTENTION + "kv_a_layernorm",
    "blk.{}.attn_kv_b": _ATTENTION + "kv_b_proj",  # of older files
}
GGUF_LATENT: GGUFLayout = replace(
    GGUF_DECODER.but(
        names={
            **expert_names(),
            **shared_names("shared_experts"),
            **LATENT_NAMES,
        }
    ),
    keys=(
        *(key for key in DECODER_KEYS if key.name not in _OTHERS),
        *EXPERT_KEYS,
        WIDTH_KEY,
        Key("rope.dimension_count", "qk_rope_head_dim", attribute="head_dim"),
        Key("attention.kv_lora_rank", "kv_lora_rank"),
        Key("attention.value_length_mla", "v_head_dim"),
        Key("expert_weights_scale", "routed_scaling_factor", "f32", default=1.0),
        Key("expert_weights_norm", "norm_topk_prob", "bool", default=False),
    ),
    architecture="deepseek2",
    rules=_rules,
    read=read_latent,
    write=write_latent,
    latent=True,
    biases=(),
)
