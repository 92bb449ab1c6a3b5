"""Mistral 3 in files of projectors: Pixtral's tower, and squares of patches merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.models.gguf_projector import ProjectorFile, ProjectorLayout, as_part
from tallow.models.projectors.towers import (
    pixtral_config,
    pixtral_keys,
    pixtral_names,
    pixtral_pictures,
    pixtral_rules,
)
from tallow.weights import NameMap
from tallow.weights.arrange import rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind


def _values(file: ProjectorFile) -> dict[str, Any]:
    return {
        "vision_config": pixtral_config(file),
        "vision_feature_layer": -1,
        "spatial_merge_size": file.fields.integer("spatial_merge_size"),
        "multimodal_projector_bias": "mm.1.bias" in file.source,
    }


def _keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    found = pixtral_keys(cfg)
    if isinstance(found, str):
        return found
    return {**found, "vision.spatial_merge_size": ("u32", cfg.spatial_merge_size)}


PROJECTORS = {
    "pixtral": ProjectorLayout(
        names=NameMap(
            {
                "mm.1": "multi_modal_projector.linear_1",
                "mm.2": "multi_modal_projector.linear_2",
                "mm.input_norm": "multi_modal_projector.norm",
                "mm.patch_merger": "multi_modal_projector.patch_merger.merging_layer",
                **pixtral_names("vision_tower"),
            }
        ),
        values=_values,
        text=as_part("text-generation"),
        words=(
            rename("model.*", "language_model.model.*"),
            rename("lm_head.*", "language_model.lm_head.*"),
        ),
        rules=pixtral_rules,
        tokens=("[IMG]",),
        token_field="image_token_index",
        pictures=pixtral_pictures,
        unused=("v.token_embd.img_break",),
        towers=("vision_tower.", "multi_modal_projector."),
        write=_keys,
    )
}
