"""LLaVA in files of projectors: CLIP's or Pixtral's tower and two linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.models.blocks.towers import TowerConfig
from tallow.models.gguf_projector import (
    ProjectorFile,
    ProjectorLayout,
    as_part,
    listed,
    normalised,
    vision_keys,
)
from tallow.models.projectors.towers import (
    TEXT_INSIDE,
    encoder_names,
    encoder_rules,
    pixtral_config,
    pixtral_keys,
    pixtral_names,
    pixtral_pictures,
    pixtral_rules,
    sizes,
)
from tallow.weights import NameMap

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind

_TOWERS = ("vision_tower.", "multi_modal_projector.")


def _clip_values(file: ProjectorFile) -> dict[str, Any]:
    """CLIP's tower; the layers behind the one that counts are often left out of files."""
    count = file.fields.integer("block_count")
    there = sum(f"v.blk.{i}.ln1.weight" in file.source for i in range(min(count, 1024)))
    # Old converters leave out what the model was not trained with, so that the last layer that is
    # there counts; llama.cpp does without that one, too.
    chosen = [there]
    if "feature_layer" in file.fields:
        chosen = listed(file.fields, "feature_layer", "a list of layers", 1, 64)
    return {
        "vision_config": {
            "model_type": "clip_vision_model",
            **sizes(file),
            "hidden_act": file.activation("gelu", "quick_gelu"),
            "layer_norm_eps": file.fields.number("attention.layer_norm_epsilon"),
        },
        "vision_feature_layer": chosen[0] if len(chosen) == 1 else chosen,
        "vision_feature_select_strategy": "default",
    }


def _clip_keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    """CLIP's tower up to the last layer that counts."""
    vision = cfg.vision_config.config
    if not isinstance(vision, TowerConfig) or vision.hidden_act not in ("gelu", "quick_gelu"):
        return "a tower of CLIP's or Pixtral's"
    if cfg.vision_feature_select_strategy != "default":
        return "features without the class vector"
    if not cfg.multimodal_projector_bias or cfg.projector_hidden_act != "gelu":
        return "a projector with biases and gelu"
    given, count = cfg.vision_feature_layer, vision.num_hidden_layers
    listed = [given] if isinstance(given, int) else list(given)
    chosen = [layer + count + 1 if layer < 0 else layer for layer in listed]
    if chosen != sorted(set(chosen)) or chosen[0] < 1:
        return "features of layers in rising order"
    return {
        **vision_keys(vision, num_hidden_layers=chosen[-1]),
        "vision.feature_layer": ("arr[i32]", chosen),
        "use_gelu": ("bool", vision.hidden_act == "gelu"),
    }


def _pixtral_values(file: ProjectorFile) -> dict[str, Any]:
    return {
        "vision_config": pixtral_config(file),
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "multimodal_projector_bias": "mm.1.bias" in file.source,
    }


def _clip_pictures(file: ProjectorFile) -> dict[str, Any]:
    edge = file.fields.integer("image_size")
    return {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": edge},
        "crop_size": {"height": edge, "width": edge},
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_convert_rgb": True,
        **normalised(file),
    }


PROJECTORS = {
    "mlp": ProjectorLayout(
        names=NameMap(
            {
                "mm.0": "multi_modal_projector.linear_1",
                "mm.2": "multi_modal_projector.linear_2",
                "v.pre_ln": "vision_tower.pre_layrnorm",
                **encoder_names("vision_tower"),
            }
        ),
        values=_clip_values,
        text=as_part("text-generation"),
        words=TEXT_INSIDE,
        rules=lambda vision, swapped: encoder_rules("vision_tower", swapped),
        tokens=("<image>",),
        token_field="image_token_index",
        pictures=_clip_pictures,
        towers=_TOWERS,
        write=_clip_keys,
    ),
    "pixtral": ProjectorLayout(
        names=NameMap(
            {
                "mm.1": "multi_modal_projector.linear_1",
                "mm.2": "multi_modal_projector.linear_2",
                **pixtral_names("vision_tower"),
            }
        ),
        values=_pixtral_values,
        text=as_part("text-generation"),
        words=TEXT_INSIDE,
        rules=pixtral_rules,
        tokens=("[IMG]",),
        token_field="image_token_index",
        pictures=pixtral_pictures,
        unused=("v.token_embd.img_break",),
        towers=_TOWERS,
        write=pixtral_keys,
    ),
}
