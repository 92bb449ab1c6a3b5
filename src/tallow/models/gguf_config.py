"""A DecoderConfig from the metadata of a GGUF file, with llama.cpp's defaults.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; for what its text leaves open,
how llama.cpp reads the keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow.models.blocks import RopeScaling
from tallow.models.config import MAX_HEADS, MAX_LAYERS, DecoderConfig
from tallow.models.fields import MAX_SIZE, Fields
from tallow.weights import WeightSource


def read_gguf(source: WeightSource, architecture: str) -> DecoderConfig:
    """The sizes below `{architecture}.`; biases, tying and the vocabulary by the tensors.

    Raises:
        ModelError: a key is missing, out of range or of a kind that is not supported.
    """
    prefix = f"{architecture}."
    # By key: a vocabulary among the other values would be decoded in vain.
    values = {
        key.removeprefix(prefix): source.metadata[key]
        for key in source.metadata
        if key.startswith(prefix)
    }
    fields = Fields(values, source.path, prefix)
    if fields.get("expert_count"):
        wanted = "no experts (mixture-of-experts models are not supported)"
        raise fields.error("expert_count", wanted, fields.get("expert_count"))
    layers = fields.integer("block_count", high=MAX_LAYERS)
    hidden = fields.integer("embedding_length")
    heads = _for_all_layers(fields, "attention.head_count", layers, high=MAX_HEADS)
    kv_heads = _for_all_layers(fields, "attention.head_count_kv", layers, heads, high=MAX_HEADS)
    if heads % kv_heads:
        wanted = f"a divisor of the {heads} attention heads"
        raise fields.error("attention.head_count_kv", wanted, kv_heads)
    return DecoderConfig(
        vocab_size=_vocab_size(source, fields),
        hidden_size=hidden,
        intermediate_size=_for_all_layers(fields, "feed_forward_length", layers),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=_head_dim(fields, hidden, heads),
        max_position_embeddings=fields.integer("context_length", 2048),
        rms_norm_eps=fields.number("attention.layer_norm_rms_epsilon", 1e-6),
        rope_theta=fields.number("rope.freq_base", 10000.0, low=1.0),
        rope_scaling=_rope_scaling(fields),
        tie_word_embeddings="output.weight" not in source,
        qkv_bias="blk.0.attn_q.bias" in source,
        output_bias="blk.0.attn_output.bias" in source,
        mlp_bias="blk.0.ffn_gate.bias" in source,
    )


def _for_all_layers(
    fields: Fields, name: str, layers: int, default: int | None = None, *, high: int = MAX_SIZE
) -> int:
    """An integer, or an array of one for each layer if all are equal."""
    value: Any = fields.get(name)
    if isinstance(value, str) or not isinstance(value, Sequence):
        return fields.integer(name, default, high=high)
    if len(value) != layers or any(each != value[0] for each in value):
        wanted = f"an integer, or {layers} equal ones (layers that differ are not supported)"
        raise fields.error(name, wanted, list(value))
    return fields.with_value(name, value[0]).integer(name, high=high)


def _head_dim(fields: Fields, hidden: int, heads: int) -> int:
    if "attention.key_length" not in fields and hidden % heads:
        raise fields.error("embedding_length", f"a multiple of the {heads} heads", hidden)
    size = fields.integer("attention.key_length", hidden // heads, high=MAX_HEADS)
    if size % 2:
        raise fields.error("attention.key_length", "an even number", size)
    if fields.integer("attention.value_length", size) != size:
        wanted = f"{size}, as that of keys (other sizes are not supported)"
        raise fields.error("attention.value_length", wanted, fields.get("attention.value_length"))
    if fields.integer("rope.dimension_count", size) != size:
        wanted = f"the head size {size} (partial rotation is not supported)"
        raise fields.error("rope.dimension_count", wanted, fields.get("rope.dimension_count"))
    return size


def _vocab_size(source: WeightSource, fields: Fields) -> int:
    # The table is the truth about the vocabulary; `vocab_size` may be absent or stale.
    if "token_embd.weight" in source and source.info("token_embd.weight").shape:
        return source.info("token_embd.weight").shape[0]
    return fields.integer("vocab_size")


def _rope_scaling(fields: Fields) -> RopeScaling | None:
    """The scaling that the keys name; the factors of the tensors `rope_…` are applied besides.

    A factor counts without a type, which is then linear, and under its old name `scale_linear`
    where the new one is absent; 0 is none. `attn_factor` multiplies whatever the type.
    """
    name = "rope.scaling.factor" if fields.has("rope.scaling.factor") else "rope.scale_linear"
    factor = fields.number(name) if fields.get(name) else 1.0
    extra = fields.number("rope.scaling.attn_factor", 1.0)
    context = fields.integer("context_length", 2048)
    original = fields.integer("rope.scaling.original_context_length", context, low=0) or context
    kind = fields.text("rope.scaling.type", "linear")
    if kind == "none":
        kind, factor = "linear", 1.0
    elif kind == "yarn":
        # llama.cpp multiplies its own factor with the growth that yarn prescribes.
        extra *= 1 + 0.1 * math.log(max(factor, 1.0))
    elif kind not in ("linear", "longrope"):
        raise fields.error("rope.scaling.type", "none, linear, yarn or longrope", kind)
    if kind == "linear" and (factor, extra) == (1.0, 1.0):
        return None
    return RopeScaling(
        kind,
        factor,
        original_context=original,
        beta_fast=fields.number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=fields.number("rope.scaling.yarn_beta_slow", 1.0),
        attention_factor=extra,
    )
