"""Gemma 3 in files of projectors: SigLIP's tower, pooled, behind a norm and a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.models.gguf_layout import added
from tallow.models.gguf_projector import (
    ProjectorFile,
    ProjectorLayout,
    as_part,
    normalised,
    token_of,
    vision_keys,
)
from tallow.models.projectors.towers import TEXT_INSIDE, encoder_names, encoder_rules, sizes
from tallow.weights import NameMap
from tallow.weights.arrange import WeightConverter, mapped, rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind

_SCALE = "projector.scale_factor"  # patches beside each other in a place
_USUAL = 4


def _values(file: ProjectorFile) -> dict[str, Any]:
    tower = sizes(file)
    across = tower["image_size"] // max(tower["patch_size"], 1)
    edge = file.fields.integer(_SCALE, _USUAL)
    return {
        "vision_config": {
            "model_type": "siglip_vision_model",
            **tower,
            "hidden_act": file.activation("gelu_pytorch_tanh", "gelu_pytorch_tanh"),
            "layer_norm_eps": file.fields.number("attention.layer_norm_epsilon"),
            "vision_use_head": False,
        },
        "mm_tokens_per_image": (across // edge) ** 2,
        "boi_token_index": token_of(file.text, ("<start_of_image>",)),
        "eoi_token_index": token_of(file.text, ("<end_of_image>",)),
    }


def _keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    vision = cfg.vision_config.config
    if getattr(vision, "hidden_act", None) != "gelu_pytorch_tanh":
        return "SigLIP's tower with gelu_pytorch_tanh"
    edge = vision.image_size // vision.patch_size // cfg.places_across
    scale: dict[str, tuple[Kind, Any]] = {f"vision.{_SCALE}": ("u32", edge)}
    return {
        **vision_keys(vision),
        **(scale if edge != _USUAL else {}),
        "use_gelu": ("bool", True),
    }


def _rules(vision: Mapping[str, Any], swapped: bool) -> tuple[WeightConverter, ...]:
    """The tower's, the matrix, whose name is no module's, and the norm, which is `1 + weight`."""
    head = "multi_modal_projector."
    return (
        *encoder_rules("vision_tower", swapped),
        rename("mm.input_projection.weight", f"{head}mm_input_projection_weight"),
        mapped("mm.soft_emb_norm.weight", f"{head}mm_soft_emb_norm.weight", added(-1.0)),
    )


def _pictures(file: ProjectorFile) -> dict[str, Any]:
    edge = file.fields.integer("image_size")
    return {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": edge, "width": edge},
        "do_resize": True,
        "do_rescale": True,
        "do_convert_rgb": True,
        **normalised(file),
    }


PROJECTORS = {
    "gemma3": ProjectorLayout(
        names=NameMap(encoder_names("vision_tower")),
        values=_values,
        text=as_part("text-generation"),
        words=TEXT_INSIDE,
        rules=_rules,
        tokens=("<image_soft_token>",),
        token_field="image_token_index",
        pictures=_pictures,
        towers=("vision_tower.", "multi_modal_projector."),
        write=_keys,
    )
}
