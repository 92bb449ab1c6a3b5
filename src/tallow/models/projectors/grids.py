"""Towers of Qwen's models of pictures, as files of projectors have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.models.config import MAX_LAYERS, DecoderConfig
from tallow.models.family import ModelSpec
from tallow.models.fields import Fields
from tallow.models.gguf_config import metadata_fields
from tallow.models.gguf_projector import ProjectorFile, listed, normalised, vision_keys
from tallow.models.vision_configs import read_axes
from tallow.weights.arrange import TensorMap, WeightConverter, cat, mapped

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind
    from tallow.models.table import Family

TIMES = 2  # frames that a patch has, each a tensor of its own in files

_FRAME = TensorMap(
    lambda x: x.unsqueeze(2),
    lambda x: x.squeeze(2),
    lambda shape: (*shape[:2], 1, *shape[2:]),
    lambda shape: (*shape[:2], *shape[3:]),
)


def patch_rules(visible: str) -> tuple[WeightConverter, ...]:
    """One convolution over two frames, of which files have one for each."""
    frames = [f"{visible}.frames.{time}" for time in range(TIMES)]
    stored = ("v.patch_embd.weight", "v.patch_embd.weight.1")
    return (
        *(mapped(theirs, own, _FRAME) for theirs, own in zip(stored, frames, strict=True)),
        cat(*frames, to=f"{visible}.weight", dim=2),
    )


def grid_sizes(file: ProjectorFile) -> dict[str, Any]:
    """Layers, heads and the edges of patches."""
    return {
        **file.sizes(num_heads="attention.head_count", patch_size="patch_size"),
        "depth": file.fields.integer("block_count", high=MAX_LAYERS),
        "spatial_merge_size": file.fields.integer("spatial_merge_size", 2),
        "temporal_patch_size": TIMES,
    }


def grid_keys(cfg: Any, image_size: int, **changes: Any) -> dict[str, tuple[Kind, Any]] | str:
    """What a file says of such a tower; llama.cpp knows one base of rotation, and two frames."""
    vision = cfg.vision_config
    if vision.temporal_patch_size != TIMES or vision.in_channels != 3 or vision.theta != 10000.0:
        return f"patches of {TIMES} frames and 3 colours, rotated by 10000"
    given = {
        "num_hidden_layers": vision.depth,
        "num_attention_heads": vision.num_heads,
        "image_size": image_size,
        "eps": 1e-6,
        **changes,
    }
    merge: dict[str, tuple[Kind, Any]] = {
        "vision.spatial_merge_size": ("u32", vision.spatial_merge_size)
    }
    return {**vision_keys(vision, **given), **merge}


def text_of(spec: ModelSpec, row: Family, *, interleaved: bool) -> DecoderConfig:
    """The config of the text's file, with the axes that turn each frequency.

    Raises:
        ModelError: the file is of a text without such axes.
    """
    architecture = str(spec.source.metadata["general.architecture"])
    fields = metadata_fields(spec.source, architecture)
    name = "rope.dimension_sections"
    wanted = "three numbers, and perhaps a 0"
    sections = listed(fields, name, wanted, 3, 4)
    if any(each != 0 for each in sections[3:]):
        raise fields.error(name, wanted, sections)
    rope = {"mrope_section": sections[:3], "mrope_interleaved": interleaved}
    told = Fields({"rope_parameters": rope}, spec.source.path)
    count = spec.config.head_dim // 2
    axes = read_axes(told, count, interleaved=interleaved)
    values = {name: getattr(spec.config, name) for name in DecoderConfig.__dataclass_fields__}
    made: DecoderConfig = row.module.TextConfig(**{**values, "rope_axes": axes})
    return made


def grid_pictures(file: ProjectorFile, kind: str, least: int, most: int) -> dict[str, Any]:
    """How pictures are prepared; files do not tell their areas, so published ones count."""
    sizes = grid_sizes(file)
    return {
        "image_processor_type": kind,
        "patch_size": sizes["patch_size"],
        "merge_size": sizes["spatial_merge_size"],
        "temporal_patch_size": TIMES,
        "size": {
            "shortest_edge": file.fields.integer("image_min_pixels", least),
            "longest_edge": file.fields.integer("image_max_pixels", most),
        },
        "do_resize": True,
        "do_rescale": True,
        "do_convert_rgb": True,
        **normalised(file),
    }
