"""The config of a family from the metadata of a GGUF file, by the keys of its layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.dtype import f32
from tallow.errors import ModelError
from tallow.lazy_dataclasses import replace
from tallow.models.blocks import RopeScaling
from tallow.models.config import MAX_HEADS, MAX_LAYERS, DecoderConfig
from tallow.models.fields import Fields
from tallow.weights import WeightSource

if TYPE_CHECKING:
    from tallow.models.gguf_layout import GGUFLayout, Key

_HIGH = {"attention.head_count": MAX_HEADS, "attention.head_count_kv": MAX_HEADS}


def read_gguf(source: WeightSource, architecture: str, layout: GGUFLayout, config: Any) -> Any:
    """The keys below `{architecture}.` as what `config.read` reads of a config.json.

    Biases, tying and the vocabulary are told by the tensors.

    Raises:
        ModelError: a key is missing, out of range or of a kind that is not supported.
    """
    fields = metadata_fields(source, architecture)
    layers = fields.integer("block_count", high=MAX_LAYERS)
    if fields.get("expert_count") and all(key.name != "expert_count" for key in layout.keys):
        wanted = f"no experts in the architecture {architecture}"
        raise fields.error("expert_count", wanted, fields.get("expert_count"))
    growth = "attention.temperature_scale"
    if fields.get(growth) and all(key.name != growth for key in layout.keys):
        raise fields.error(growth, "none (growing queries are not supported)", fields.get(growth))
    values: dict[str, Any] = dict(layout.constants or {})
    for key in layout.keys:
        value = _value(fields, key, layers)
        if value is not None:
            values[key.field] = value
    values["vocab_size"] = _vocab_size(source, fields)
    values["tie_word_embeddings"] = "output.weight" not in source
    decoder = issubclass(config, DecoderConfig)
    if decoder and not layout.latent:
        by_key = {key.name: values.get(key.field) for key in layout.keys}
        values |= _heads(fields, layout, by_key)
    if layout.read is not None:
        values |= layout.read(fields, source)
    shown = {key.field: key.name for key in layout.keys}
    cfg = config.read(Fields(values, source.path, fields.prefix, shown=shown))
    cfg = replace(cfg, **(layout.attributes or {}))
    if not decoder:
        return cfg
    long = layout.untyped and "rope_factors_long.weight" in source
    own = layout.latent and not layout.untyped  # scaling, which the layout's `read` tells
    return replace(
        cfg,
        rope_scaling=cfg.rope_scaling if own else _rope_scaling(fields, long),
        rope_interleaved=layout.interleaved or cfg.rope_interleaved,
        qkv_bias=layout.qkv_bias or _has_bias(source, "attn_q", "attn_qkv"),
        output_bias="blk.0.attn_output.bias" in source,
        mlp_bias=_has_bias(source, "ffn_gate", "ffn_up"),
    )


def _has_bias(source: WeightSource, *roles: str) -> bool:
    return any(f"blk.0.{role}.bias" in source for role in roles)


def metadata_fields(source: WeightSource, architecture: str) -> Fields:
    """The metadata below `{architecture}.`."""
    prefix = f"{architecture}."
    # By key: a vocabulary among the other values would be decoded in vain.
    values = {
        key.removeprefix(prefix): source.metadata[key]
        for key in source.metadata
        if key.startswith(prefix)
    }
    return Fields(values, source.path, prefix)


def _value(fields: Fields, key: Key, layers: int) -> Any:
    """What the file says, or what llama.cpp takes without it; lists as the key wants them."""
    value: Any = fields.get(key.name)
    if value is None or (value == 0 and key.name == "attention.sliding_window"):
        return key.default  # llama.cpp's converter writes a window of 0 where there is none
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    if key.layers or key.kind.startswith("arr"):
        if len(value) > max(layers, 4096):
            raise fields.error(key.name, f"at most {layers} values", f"{len(value)} of them")
        return list(value)
    if len(value) != layers or any(each != value[0] for each in value):
        wanted = f"an integer, or {layers} equal ones (layers that differ are not supported)"
        raise fields.error(key.name, wanted, list(value))
    return value[0]


def _heads(fields: Fields, layout: GGUFLayout, values: dict[str, Any]) -> dict[str, Any]:
    """The sizes of heads, whose parts the format lets differ."""
    heads = values.get("attention.head_count")
    hidden = values.get("embedding_length")
    if type(heads) is not int or not 1 <= heads <= MAX_HEADS:
        raise fields.error("attention.head_count", f"an integer from 1 to {MAX_HEADS}", heads)
    if type(hidden) is not int or not hidden:
        hidden = fields.integer("embedding_length")
    if "attention.key_length" not in fields and hidden % heads:
        raise fields.error("embedding_length", f"a multiple of the {heads} heads", hidden)
    size = fields.integer("attention.key_length", hidden // heads, high=MAX_HEADS)
    if fields.integer("attention.value_length", size) != size:
        wanted = f"{size}, as that of keys (other sizes are not supported)"
        raise fields.error("attention.value_length", wanted, fields.get("attention.value_length"))
    found: dict[str, Any] = {"head_dim": size}
    if "attention.head_count_kv" not in fields:
        found["num_key_value_heads"] = heads
    turned = fields.integer("rope.dimension_count", size)
    if turned == size and not layout.partial:
        return found
    if not layout.partial or turned > size or turned % 2:
        wanted = f"the head size {size}"
        wanted += ", or a smaller even number" if layout.partial else " (no part of it)"
        raise fields.error("rope.dimension_count", wanted, turned)
    return {**found, "partial_rotary_factor": turned / size}


def _vocab_size(source: WeightSource, fields: Fields) -> int:
    # The table is the truth about the vocabulary; `vocab_size` may be absent or stale.
    if "token_embd.weight" in source and source.info("token_embd.weight").shape:
        return source.info("token_embd.weight").shape[0]
    return fields.integer("vocab_size")


def _rope_scaling(fields: Fields, long: bool) -> RopeScaling | None:
    """The scaling that the keys name; the factors of the tensors `rope_…` are applied besides.

    A factor counts without a type, which is then linear, and under its old name `scale_linear`
    where the new one is absent; 0 is none. `attn_factor` multiplies whatever the type.
    """
    name = "rope.scaling.factor" if fields.has("rope.scaling.factor") else "rope.scale_linear"
    factor = fields.number(name) if fields.get(name) else 1.0
    extra = fields.number("rope.scaling.attn_factor", 1.0)
    context = fields.integer("context_length", 2048)
    original = fields.integer("rope.scaling.original_context_length", context, low=0) or context
    # Where there are its factors, longrope needs no type.
    kind = fields.text("rope.scaling.type", "longrope" if long else "linear")
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


# Of two such tensors one is used.
OTHER_FACTORS = r"rope_factors_(long|short)\.weight"


def with_factors(cfg: Any, source: WeightSource) -> Any:
    """The config with the factors of its rotations that stand in tensors, if it has some.

    Raises:
        ModelError: they are missing, or no numbers above 0.
    """
    factors = rope_factors(cfg, source)
    return cfg if factors is None else replace(cfg, rope_factors=tuple(factors))


def rope_factors(cfg: Any, source: WeightSource) -> list[float] | None:
    """What a GGUF file divides the rotary frequencies by: longrope beyond its first context."""
    if not isinstance(cfg, DecoderConfig):
        return None
    scaling = cfg.rope_scaling
    if scaling is None or scaling.kind != "longrope":
        return _factors(source, "rope_freqs.weight", cfg) if "rope_freqs.weight" in source else None
    part = "long" if cfg.context > scaling.original_context else "short"
    name = f"rope_factors_{part}.weight"
    if name not in source:
        raise ModelError(f"{source.where(name)}: expected the factors of longrope, found nothing")
    return _factors(source, name, cfg)


def _factors(source: WeightSource, name: str, cfg: DecoderConfig) -> list[float]:
    info, count = source.info(name), cfg.turned() // 2
    if info.dtype not in ("f32", "f16", "bf16") or tuple(info.shape) != (count,):
        found = f"{info.dtype} of shape {info.shape}"
        raise ModelError(
            f"{source.where(name)}: expected floats of shape ({count},), found {found}"
        )
    factors = [float(value) for value in source.take(name, f32).tolist()]
    if not all(0 < factor < float("inf") for factor in factors):
        raise ModelError(f"{source.where(name)}: expected numbers above 0, found {factors[:8]}")
    return factors
