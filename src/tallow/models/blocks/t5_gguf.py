"""How T5 stands in GGUF files: llama.cpp's architectures `t5` and `t5encoder`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.lazy_dataclasses import replace
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, Kind
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import WeightConverter, rename

_CONTEXT = 512  # what the converter writes of configs without n_positions; biases have no end


def _block(side: str, places: int) -> dict[str, str]:
    """Stems of a side's blocks, whose feed-forward network is the last of `places`."""
    theirs, ours = f"{side[:3]}.blk.{{}}.", f"{side}.block.{{}}.layer."
    names = {
        f"{side[:3]}.output_norm": f"{side}.final_layer_norm",
        theirs + "attn_norm": ours + "0.layer_norm",
        theirs + "attn_rel_b": ours + "0.SelfAttention.relative_attention_bias",
        theirs + "ffn_norm": f"{ours}{places - 1}.layer_norm",
        theirs + "ffn_gate": f"{ours}{places - 1}.DenseReluDense.wi_0",
        theirs + "ffn_down": f"{ours}{places - 1}.DenseReluDense.wo",
        theirs + "cross_attn_norm": ours + "1.layer_norm",
    }
    for part in "qkvo":
        names[f"{theirs}attn_{part}"] = f"{ours}0.SelfAttention.{part}"
        names[f"{theirs}cross_attn_{part}"] = f"{ours}1.EncDecAttention.{part}"
    if side == "encoder":
        names = {stem: name for stem, name in names.items() if ".cross_" not in stem}
    return names


def _rules(cfg: Any) -> tuple[WeightConverter, ...]:
    """The one matrix before the activation, or the second of two, has one name there."""
    inner = "wi_1" if cfg.gated else "wi"
    return tuple(
        rename(
            f"{side[:3]}.blk.{{}}.ffn_up.weight",
            f"{side}.block.{{}}.layer.{place}.DenseReluDense.{inner}.weight",
        )
        for side, place in (("encoder", 1), ("decoder", 2))
    )


def _read(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """What tensors tell: a gate, and a head of its own, before which nothing is scaled."""
    size = fields.integer("attention.key_length")
    if fields.integer("attention.value_length", size) != size:
        wanted = f"{size}, as that of keys (other sizes are not supported)"
        raise fields.error("attention.value_length", wanted, fields.get("attention.value_length"))
    gated = "enc.blk.0.ffn_gate.weight" in source
    return {
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "scale_decoder_outputs": "output.weight" not in source,
    }


def _write(cfg: Any) -> Mapping[str, tuple[Kind, Any]]:
    return {
        "context_length": ("u32", _CONTEXT),
        "attention.value_length": ("u32", cfg.d_kv),
        "attention.layer_norm_epsilon": ("f32", cfg.layer_norm_epsilon),
    }


_DECODERS = ("decoder_block_count", "decoder_start_token_id")
GGUF_T5 = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "shared",
            "output": "lm_head",
            **_block("encoder", 2),
            **_block("decoder", 3),
        }
    ),
    keys=(
        Key("block_count", "num_layers"),
        Key("decoder_block_count", "num_decoder_layers"),
        Key("embedding_length", "d_model"),
        Key("feed_forward_length", "d_ff"),
        Key("attention.head_count", "num_heads"),
        Key("attention.key_length", "d_kv"),
        Key("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "f32"),
        Key("attention.relative_buckets_count", "relative_attention_num_buckets"),
        Key("decoder_start_token_id", "decoder_start_token_id"),
    ),
    architecture="t5",
    rules=_rules,
    read=_read,
    write=_write,
)
# The encoder alone.
GGUF_T5_ENCODER = replace(
    GGUF_T5,
    architecture="t5encoder",
    keys=tuple(key for key in GGUF_T5.keys if key.name not in _DECODERS),
    attributes={
        "num_decoder_layers": None,
        "decoder_start_token_id": None,
        "scale_decoder_outputs": True,
    },
)
