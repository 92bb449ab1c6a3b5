"""Qwen2-VL and Qwen2.5-VL in files of projectors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.lazy_dataclasses import replace
from tallow.models.gguf_projector import ProjectorFile, ProjectorLayout, fed, layer_names
from tallow.models.projectors.grids import (
    grid_keys,
    grid_pictures,
    grid_sizes,
    patch_rules,
    text_of,
)
from tallow.weights import NameMap
from tallow.weights.arrange import WeightConverter
from tallow.weights.arrange import cat as join

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind

_LAYER = "visual.blocks.{}."
_PARTS = {"attn_out": "attn.proj", "ln1": "norm1", "ln2": "norm2"}
_GATED = {f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")}
_NAMES = {
    "v.post_ln": "visual.merger.ln_q",
    "mm.0": "visual.merger.mlp.0",
    "mm.2": "visual.merger.mlp.2",
}
_WINDOW = 112  # pixels of a window where files do not say it
_AREA = 28**2  # of the square of patches that is one vector


def _joined() -> tuple[WeightConverter, ...]:
    """Patches of two frames; queries, keys and values are one matrix."""
    return (
        *patch_rules("visual.patch_embed.proj"),
        *(
            join(
                *(f"v.blk.{{}}.attn_{part}.{kind}" for part in "qkv"),
                to=f"{_LAYER}attn.qkv.{kind}",
            )
            for kind in ("weight", "bias")
        ),
    )


def _values(file: ProjectorFile) -> dict[str, Any]:
    """The width of feed-forward is told by its matrices: its key holds another number."""
    size = file.fields.integer("embedding_length")
    stem = "ffn_down" if file.swapped else "ffn_up"
    hidden = file.shape(f"v.blk.0.{stem}.weight")[0]
    if hidden % size:
        raise file.fields.error("feed_forward_length", f"a multiple of {size}", hidden)
    vision = {
        **grid_sizes(file),
        "embed_dim": size,
        "hidden_size": file.shape("mm.2.weight")[0],
        "hidden_act": file.activation("gelu", "quick_gelu"),
        "mlp_ratio": hidden // size,
    }
    return {"vision_config": vision}


def _windowed_values(file: ProjectorFile) -> dict[str, Any]:
    """Each so many layers one attends to a whole picture."""
    period, depth = file.fields.integer("n_wa_pattern"), file.fields.integer("block_count")
    vision = {
        **grid_sizes(file),
        "hidden_size": file.fields.integer("embedding_length"),
        "intermediate_size": file.shape("v.blk.0.ffn_gate.weight")[0],
        "out_hidden_size": file.shape("mm.2.weight")[0],
        "hidden_act": file.activation("gelu", "silu"),
        "window_size": file.fields.integer("window_size", _WINDOW),
        "fullatt_block_indexes": list(range(period - 1, depth, period)),
    }
    return {"vision_config": vision}


def _pictures(file: ProjectorFile) -> dict[str, Any]:
    return grid_pictures(file, "Qwen2VLImageProcessor", 4 * _AREA, 16384 * _AREA)


_SIDE = 560  # what the converter writes for pictures of any size


def _keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    vision = cfg.vision_config
    acts: dict[str, Mapping[str, tuple[Kind, Any]]] = {
        "quick_gelu": {},
        "gelu": {"use_gelu": ("bool", True)},
        "silu": {"use_silu": ("bool", True)},
    }
    if vision.hidden_act not in acts:
        return "quick_gelu, gelu or silu in the tower"
    sizes = {"hidden_size": vision.embed_dim, "intermediate_size": vision.hidden_size}
    found = grid_keys(cfg, _SIDE, **sizes)
    return found if isinstance(found, str) else {**found, **acts[vision.hidden_act]}


def _windowed_keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    vision = cfg.vision_config
    whole = vision.fullatt_block_indexes
    period = whole[0] + 1 if whole else 0
    if not period or list(whole) != list(range(period - 1, vision.depth, period)):
        return "each so many layers one that attends to all of a picture"
    if vision.hidden_act != "silu":
        return "silu in the tower"
    found = grid_keys(cfg, _SIDE)
    if isinstance(found, str):
        return found
    usual = vision.window_size == _WINDOW
    window: dict[str, tuple[Kind, Any]] = {"vision.window_size": ("u32", vision.window_size)}
    return {
        **found,
        **({} if usual else window),
        "vision.n_wa_pattern": ("u32", period),
        "use_silu": ("bool", True),
    }


_QWEN2_VL = ProjectorLayout(
    names=NameMap({**_NAMES, **layer_names(_LAYER, _PARTS)}),
    values=_values,
    text=partial(text_of, interleaved=False),
    rules=lambda vision, swapped: (
        *_joined(),
        *fed(f"{_LAYER}mlp.fc1", f"{_LAYER}mlp.fc2", swapped=swapped),
    ),
    tokens=("<|image_pad|>",),
    pictures=_pictures,
    towers=("visual.",),
    write=_keys,
    text_type="qwen2",
    text_architecture="qwen2vl",
)
PROJECTORS = {
    "qwen2vl_merger": _QWEN2_VL,
    "qwen2.5vl_merger": replace(
        _QWEN2_VL,
        names=NameMap({**_NAMES, **layer_names(_LAYER, {**_PARTS, **_GATED})}),
        values=_windowed_values,
        write=_windowed_keys,
        rules=lambda vision, swapped: _joined(),
    ),
}
