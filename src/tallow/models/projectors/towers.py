"""Towers as files of projectors have them: Pixtral's, CLIP's and SigLIP's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.models.gguf_projector import (
    ProjectorFile,
    Values,
    fed,
    halved,
    layer_names,
    normalised,
    vision_keys,
)
from tallow.weights.arrange import WeightConverter, rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind

# Where the text's tensors stand in models that have it inside.
TEXT_INSIDE = (
    rename("model.*", "language_model.model.*"),
    rename("lm_head.*", "language_model.lm_head.*"),
)
_ENCODER_PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
}
_PIXTRAL_PARTS = {
    "attn_v": "attention.v_proj",
    "attn_out": "attention.o_proj",
    "ln1": "attention_norm",
    "ln2": "ffn_norm",
    "ffn_gate": "feed_forward.gate_proj",
    "ffn_up": "feed_forward.up_proj",
    "ffn_down": "feed_forward.down_proj",
}
_HEADS = "attention.head_count"
_SIZES = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": _HEADS,
    "num_hidden_layers": "block_count",
    "image_size": "image_size",
    "patch_size": "patch_size",
}


def sizes(file: ProjectorFile) -> dict[str, Any]:
    """Widths, heads and layers of a tower, and the edges of pictures and patches."""
    return dict(file.sizes(**_SIZES))


def encoder_names(tower: str) -> dict[str, str]:
    """Stems of a tower of CLIP's or SigLIP's without feed-forward, below `tower`."""
    return {
        "v.patch_embd": f"{tower}.embeddings.patch_embedding",
        "v.position_embd": f"{tower}.embeddings.position_embedding",
        "v.post_ln": f"{tower}.post_layernorm",
        **layer_names(f"{tower}.encoder.layers.{{}}.", _ENCODER_PARTS),
    }


def encoder_rules(tower: str, swapped: bool) -> tuple[WeightConverter, ...]:
    """Its class vector and feed-forward."""
    layer = f"{tower}.encoder.layers.{{}}.mlp."
    return (
        rename("v.class_embd", f"{tower}.embeddings.class_embedding"),
        *fed(layer + "fc1", layer + "fc2", swapped=swapped),
    )


def pixtral_names(tower: str) -> dict[str, str]:
    """Stems of Pixtral's tower without queries and keys."""
    return {
        "v.patch_embd": f"{tower}.patch_conv",
        "v.pre_ln": f"{tower}.ln_pre",
        **layer_names(f"{tower}.transformer.layers.{{}}.", _PIXTRAL_PARTS),
    }


def pixtral_rules(vision: Values, swapped: bool) -> tuple[WeightConverter, ...]:
    """Queries and keys, whose rotated pairs are neighbours in files."""
    size, heads = vision["hidden_size"], vision["num_attention_heads"]
    return tuple(
        halved(
            f"v.blk.{{}}.attn_{part}.weight",
            f"vision_tower.transformer.layers.{{}}.attention.{part}_proj.weight",
            size,
            heads,
        )
        for part in "qk"
    )


def pixtral_config(file: ProjectorFile) -> dict[str, Any]:
    """The config of Pixtral's tower."""
    size, heads = file.fields.integer("embedding_length"), file.fields.integer(_HEADS)
    if size % (2 * heads):
        raise file.fields.error("embedding_length", f"a multiple of 2 times {heads} heads", size)
    rows = file.shape("v.blk.0.attn_q.weight")[0]
    if rows != size:
        raise file.fields.error("embedding_length", f"{rows}, as v.blk.0.attn_q.weight has", size)
    return {
        "model_type": "pixtral",
        **sizes(file),
        "hidden_act": file.activation("gelu", "silu"),
        "rope_theta": file.fields.number("rope.freq_base", 10000.0),
    }


def pixtral_keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    """What a file says of the tower; llama.cpp knows one base of rotation, and all its layers."""
    vision = cfg.vision_config.config
    last = cfg.vision_feature_layer in (-1, vision.num_hidden_layers)
    full = getattr(cfg, "vision_feature_select_strategy", "full") == "full"
    acts = {"silu": "use_silu", "swish": "use_silu", "gelu": "use_gelu"}
    if not last or not full:
        return "features of all positions behind the last layer"
    if vision.theta != 10000.0:
        return f"a rotation by 10000, not {vision.theta:g}"
    if vision.hidden_act not in acts or cfg.projector_hidden_act != "gelu":
        return "activations silu or gelu in the tower, gelu behind it"
    return {**vision_keys(vision, eps=1e-5), acts[vision.hidden_act]: ("bool", True)}


def pixtral_pictures(file: ProjectorFile) -> dict[str, Any]:
    """How its pictures are prepared: at most as large as the tower takes, in whole patches."""
    edge, most = file.fields.integer("patch_size"), file.fields.integer("image_size")
    return {
        "image_processor_type": "PixtralImageProcessor",
        "size": {"longest_edge": file.fields.integer("preproc_image_size", most)},
        "patch_size": {"height": edge, "width": edge},
        "do_resize": True,
        "do_rescale": True,
        "do_convert_rgb": True,
        **normalised(file),
    }
