"""Idefics 3 and SmolVLM in files of projectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.models.gguf_projector import (
    ProjectorFile,
    ProjectorLayout,
    as_part,
    normalised,
    vision_keys,
)
from tallow.models.projectors.towers import encoder_names, encoder_rules, sizes
from tallow.weights import NameMap
from tallow.weights.arrange import rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind


def _values(file: ProjectorFile) -> dict[str, Any]:
    return {
        "vision_config": {
            **sizes(file),
            "hidden_act": file.activation("gelu_pytorch_tanh", "gelu_pytorch_tanh"),
            "layer_norm_eps": file.fields.number("attention.layer_norm_epsilon"),
        },
        "scale_factor": file.fields.integer("projector.scale_factor", 2),
    }


def _keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    if cfg.vision_config.hidden_act != "gelu_pytorch_tanh":
        return "gelu_pytorch_tanh in the tower"
    return {
        **vision_keys(cfg.vision_config),
        "vision.projector.scale_factor": ("u32", cfg.scale_factor),
        "use_gelu": ("bool", True),
    }


def _pictures(file: ProjectorFile) -> dict[str, Any]:
    edge = file.fields.integer("image_size")
    return {
        "image_processor_type": "Idefics3ImageProcessor",
        "size": {"longest_edge": file.fields.integer("preproc_image_size", edge)},
        "max_image_size": {"longest_edge": edge},
        "do_image_splitting": True,
        "do_resize": True,
        "do_rescale": True,
        "do_pad": True,
        "do_convert_rgb": True,
        **normalised(file),
    }


PROJECTORS = {
    "idefics3": ProjectorLayout(
        names=NameMap(
            {
                "mm.model.fc": "model.connector.modality_projection.proj",
                **encoder_names("model.vision_model"),
            }
        ),
        values=_values,
        text=as_part("embedding"),
        words=(rename("model.*", "model.text_model.*"),),
        rules=lambda vision, swapped: encoder_rules("model.vision_model", swapped),
        tokens=("<image>",),
        pictures=_pictures,
        towers=("model.vision_model.", "model.connector."),
        write=_keys,
    )
}
