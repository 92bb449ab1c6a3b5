"""Qwen3-VL in files of projectors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.models.gguf_projector import (
    ProjectorFile,
    ProjectorLayout,
    Values,
    layer_names,
    listed,
)
from tallow.models.projectors.grids import (
    grid_keys,
    grid_pictures,
    grid_sizes,
    patch_rules,
    text_of,
)
from tallow.weights import NameMap
from tallow.weights.arrange import WeightConverter, rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind

_VISUAL = "model.visual."
_MERGER = {"norm": "norm", "fc1": "linear_fc1", "fc2": "linear_fc2"}


def _values(file: ProjectorFile) -> dict[str, Any]:
    depth = file.fields.integer("block_count")
    flags = listed(file.fields, "is_deepstack_layers", f"{depth} flags", depth, depth)
    vision = {
        **grid_sizes(file),
        **file.sizes(hidden_size="embedding_length", intermediate_size="feed_forward_length"),
        "hidden_act": file.activation("gelu_pytorch_tanh", "gelu_pytorch_tanh"),
        "out_hidden_size": file.shape("mm.2.weight")[0],
        "num_position_embeddings": file.shape("v.position_embd.weight")[0],
        "deepstack_visual_indexes": [index for index, flag in enumerate(flags) if flag],
    }
    return {"vision_config": vision}


def _rules(vision: Values, swapped: bool) -> tuple[WeightConverter, ...]:
    """Mergers are counted by layers in files, and here one after another."""
    deep = vision["deepstack_visual_indexes"]
    return (
        *patch_rules(f"{_VISUAL}patch_embed.proj"),
        *(
            rename(f"v.deepstack.{layer}.{part}.*", f"{_VISUAL}deepstack_merger_list.{i}.{own}.*")
            for i, layer in enumerate(deep)
            for part, own in _MERGER.items()
        ),
    )


def _keys(cfg: Any) -> Mapping[str, tuple[Kind, Any]] | str:
    vision = cfg.vision_config
    if vision.hidden_act != "gelu_pytorch_tanh":
        return "gelu_pytorch_tanh in the tower"
    found = grid_keys(cfg, vision.side * vision.patch_size)
    if isinstance(found, str):
        return found
    flags = [index in vision.deepstack_visual_indexes for index in range(vision.depth)]
    return {
        **found,
        "vision.is_deepstack_layers": ("arr[bool]", flags),
        "use_gelu": ("bool", True),
    }


PROJECTORS = {
    "qwen3vl_merger": ProjectorLayout(
        names=NameMap(
            {
                "v.patch_embd": f"{_VISUAL}patch_embed.proj",
                "v.position_embd": f"{_VISUAL}pos_embed",
                "v.post_ln": f"{_VISUAL}merger.norm",
                "mm.0": f"{_VISUAL}merger.linear_fc1",
                "mm.2": f"{_VISUAL}merger.linear_fc2",
                **layer_names(
                    _VISUAL + "blocks.{}.",
                    {
                        "attn_qkv": "attn.qkv",
                        "attn_out": "attn.proj",
                        "ln1": "norm1",
                        "ln2": "norm2",
                        "ffn_up": "mlp.linear_fc1",
                        "ffn_down": "mlp.linear_fc2",
                    },
                ),
            }
        ),
        values=_values,
        text=partial(text_of, interleaved=True),
        words=(rename("model.*", "model.language_model.*"),),
        rules=_rules,
        towers=(_VISUAL,),
        write=_keys,
        text_type="qwen3",
        text_architecture="qwen3vl",
        tokens=("<|image_pad|>",),
        pictures=lambda file: grid_pictures(file, "Qwen2VLImageProcessorFast", 256**2, 4096**2),
    )
}
