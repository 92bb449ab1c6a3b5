"""Goldens of models that read pictures beside text."""

from __future__ import annotations

from typing import Any

import torch

from specs import Inputs, Spec
from specs.decoders import HIDDEN, TINY

IMAGE, START, END = 60, 61, 62
TEXT = {**TINY, "eos_token_id": 2, "pad_token_id": 0}
MROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 2, 1]}}
PATCHES = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2}
IDS = {"image_token_id": IMAGE, "vision_start_token_id": START, "vision_end_token_id": END,
       "video_token_id": 63}  # fmt: skip
GREEDY = {"greedy": {"eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": 64,
                     "do_sample": False}}  # fmt: skip
BEAMS = {"beams": {"eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": 12, "num_beams": 3,
                   "do_sample": False}}  # fmt: skip


def with_places(rows: list[list[int]], source: torch.Generator) -> dict[str, torch.Tensor]:
    """Rows of so many text tokens and pictures (below 0: of as many places), padded right."""
    found = []
    for row in rows:
        ids: list[int] = []
        for count in row:
            if count < 0:
                ids += [START, *[IMAGE] * -count, END]
            else:
                ids += torch.randint(3, 60, (count,), generator=source).tolist()
        found.append(ids)
    width = max(map(len, found))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in found])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in found])
    return {"input_ids": ids, "attention_mask": mask}


def grids(rows: list[list[Any]], *, padded: bool = True) -> Inputs:
    """Rows of numbers of text tokens, and of grids (rows and columns of patches) of pictures."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        shapes = [each for row in rows for each in row if isinstance(each, tuple)]
        counts = [
            [-each[0] * each[1] // 4 if isinstance(each, tuple) else each for each in row]
            for row in rows
        ]
        found = with_places(counts, source)
        if not padded:
            del found["attention_mask"]
        vision = config.vision_config
        values = 3 * vision.temporal_patch_size * vision.patch_size**2
        count = sum(h * w for h, w in shapes)
        return {
            **found,
            "pixel_values": torch.randn(count, values, generator=source),
            "image_grid_thw": torch.tensor([(1, h, w) for h, w in shapes]),
            "mm_token_type_ids": (found["input_ids"] == IMAGE).int(),
        }

    return make


TWO = grids([[3, (4, 6), 2, (2, 2), 4], [2, (6, 2), 5]])
ALIKE = grids([[3, (4, 6), 2, (2, 2), 4], [5, (6, 2), 10]], padded=False)
QWEN2 = {
    "text_config": {**TEXT, **MROPE},
    "vision_config": {
        **PATCHES, "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2,
    },
    **IDS,
}  # fmt: skip
QWEN25 = {
    "text_config": {**TEXT, **MROPE},
    "vision_config": {
        **PATCHES, "depth": 3, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2,
        "intermediate_size": 40, "window_size": 16, "fullatt_block_indexes": [1],
    },
    **IDS,
}  # fmt: skip


QWEN3 = {
    "text_config": {
        **TEXT, "head_dim": 16,
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True,
        },
    },
    "vision_config": {
        **PATCHES, "depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2,
        "intermediate_size": 40, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1],
    },
    **IDS,
}  # fmt: skip


def qwen(name: str, model: str, values: dict) -> dict[str, Spec]:
    whole, config = f"{model}ForConditionalGeneration", f"{model}Config"
    stds = {
        "*visual*attn*weight": 0.25,
        "*merger.mlp*weight": 0.2,
        "*blocks*mlp*weight": 0.3,
        "*merger*linear*weight": 0.2,
    }
    options = {"outputs": ("logits", "hidden_states"), "stds": stds, "singles": False}
    return {
        name: Spec(
            whole, config, values, TWO, options=HIDDEN, given=("image_grid_thw",), **options
        ),
        f"{name}_generate": Spec(
            whole, config, {**values, "text_config": {**values["text_config"],
                                                       "max_position_embeddings": 96}},
            ALIKE, ("logits",), stds=stds, singles=False, given=("image_grid_thw",),
            generate={**GREEDY, **BEAMS},
        ),
    }  # fmt: skip


def pixels(
    rows: list[list[Any]], side: int = 16, *, padded: bool = True, frames: int = 0
) -> Inputs:
    """Rows of numbers of text tokens and of places of pictures (below 0); `frames` a row, or 0."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        found = with_places(rows, source)
        if not padded:
            del found["attention_mask"]
        count = sum(each < 0 for row in rows for each in row)
        shape = (len(rows), frames) if frames else (count,)
        return {**found, "pixel_values": torch.randn(*shape, 3, side, side, generator=source)}

    return make


def sized(rows: list[list[Any]], edge: int, *, padded: bool = True) -> Inputs:
    """Rows of numbers of text tokens, and of heights and widths of pictures, for Pixtral."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        shapes = [each for row in rows for each in row if isinstance(each, tuple)]
        counts = [
            [-(each[0] // edge) * (each[1] // edge) if isinstance(each, tuple) else each
             for each in row]
            for row in rows
        ]  # fmt: skip
        tall, wide = max(h for h, _ in shapes), max(w for _, w in shapes)
        values = torch.zeros(len(shapes), 3, tall, wide)
        for at, (h, w) in enumerate(shapes):
            values[at, :, :h, :w] = torch.randn(3, h, w, generator=source)
        found = with_places(counts, source) if rows[0][0] else {}
        if not padded:
            found.pop("attention_mask", None)
        return {**found, "pixel_values": values, "image_sizes": torch.tensor(shapes)}

    return make


TOWER = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "image_size": 16, "patch_size": 4,
}  # fmt: skip
LLAMA = {**TEXT, "model_type": "llama"}
MISTRAL = {**TEXT, "model_type": "mistral", "head_dim": 8, "sliding_window": None}
CLIP = {**TOWER, "model_type": "clip_vision_model"}
SIGLIP = {**TOWER, "model_type": "siglip_vision_model", "vision_use_head": False}
PIXTRAL = {**TOWER, "num_hidden_layers": 2, "image_size": 32}
LLAVA = {"text_config": LLAMA, "vision_config": CLIP, "image_token_index": IMAGE}
LONG = {"max_position_embeddings": 128}
STD = {"*vision_tower*weight": 0.2, "*vision_model*weight": 0.2, "*projector*weight": 0.2,
       "*connector*weight": 0.2}  # fmt: skip
FRAMES = {
    "text_config": LLAMA, "vision_config": {**TOWER, "num_hidden_layers": 2},
    "image_token_id": IMAGE, "scale_factor": 2,
}  # fmt: skip


def vlm(prefix: str, values: dict, inputs: Inputs, *, singles=False, **options) -> Spec:
    model, config = f"{prefix}ForConditionalGeneration", f"{prefix}Config"
    return Spec(
        model, config, values, inputs, stds=STD, singles=singles,
        **{"outputs": ("logits",), **options},
    )  # fmt: skip


def prefixed(inputs: Inputs, first: int) -> Inputs:
    """The same with the first positions of each row as those that see each other."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        found = inputs(config, source)
        types = torch.zeros_like(found["input_ids"])
        types[:, first:] = 1
        return {**found, "token_type_ids": types}

    return make


GEMMA = {**TEXT, "model_type": "gemma", "head_dim": 8}
PALIGEMMA = {
    "text_config": GEMMA, "vision_config": SIGLIP, "image_token_index": IMAGE,
    "projection_dim": 32,
}  # fmt: skip
GEMMA2 = {
    **GEMMA, "model_type": "gemma2", "sliding_window": 6, "query_pre_attn_scalar": 8,
    "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0,
}  # fmt: skip
STATES = {"outputs": ("logits", "hidden_states"), "options": HIDDEN}
SEARCHED = {"generate": {**GREEDY, **BEAMS}}
GEMMA3 = {
    "text_config": {
        **GEMMA, "model_type": "gemma3_text", "sliding_window": 8, "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "vision_config": SIGLIP, "image_token_index": IMAGE, "boi_token_index": START,
    "eoi_token_index": END, "mm_tokens_per_image": 4,
}  # fmt: skip


def typed(inputs: Inputs) -> Inputs:
    """The same with 1 as the type of places of pictures."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        found = inputs(config, source)
        return {**found, "token_type_ids": (found["input_ids"] == IMAGE).long()}

    return make


SPECS = {
    **qwen("qwen2_vl", "Qwen2VL", QWEN2),
    **qwen("qwen2_5_vl", "Qwen2_5_VL", QWEN25),
    **qwen("qwen3_vl", "Qwen3VL", QWEN3),
    "llava": vlm("Llava", LLAVA, pixels([[3, -16, 2, -16, 4], [2, -16, 5]]), **STATES),
    "llava_generate": vlm(
        "Llava", {**LLAVA, "text_config": {**LLAMA, **LONG}},
        pixels([[3, -16, 3], [4, -16, 2]], padded=False), singles=True, **SEARCHED,
    ),
    "llava_siglip": vlm(
        "Llava",
        {
            **LLAVA, "text_config": MISTRAL, "vision_config": SIGLIP,
            "vision_feature_layer": [-2, -1], "vision_feature_select_strategy": "full",
            "multimodal_projector_bias": False,
        },
        pixels([[3, -16, 3], [4, -16]]), singles=True,
    ),
    "llava_pixtral": vlm(
        "Llava",
        {
            **LLAVA, "text_config": MISTRAL, "vision_config": {**PIXTRAL, "model_type": "pixtral"},
            "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        },
        sized([[3, (8, 12), 2], [4, (12, 4), 3]], 4), given=("image_sizes",),
    ),
    "pixtral": Spec(
        "PixtralVisionModel", "PixtralVisionConfig", PIXTRAL,
        sized([[0, (8, 12)], [0, (16, 8)]], 4), ("last_hidden_state",), singles=False,
        given=("image_sizes",), stds={"*": 0.3},
    ),
    "mistral3": vlm(
        "Mistral3",
        {
            "text_config": MISTRAL, "vision_config": {**PIXTRAL, "model_type": "pixtral"},
            "image_token_index": IMAGE, "tie_word_embeddings": False,
        },
        sized([[3, (8, 24), 2, (8, 8)], [4, (16, 8), 5]], 8), given=("image_sizes",), **STATES,
    ),
    "mistral3_generate": vlm(
        "Mistral3",
        {
            "text_config": {**MISTRAL, **LONG},
            "vision_config": {**PIXTRAL, "model_type": "pixtral"},
            "image_token_index": IMAGE,
        },
        sized([[3, (8, 24), 2], [4, (16, 8), 2]], 8, padded=False), given=("image_sizes",),
        **SEARCHED,
    ),
    "paligemma": vlm(
        "PaliGemma", PALIGEMMA, prefixed(pixels([[0, -16, 6], [0, -16, 3]]), 20), singles=True,
        **STATES,
    ),
    "paligemma_generate": vlm(
        "PaliGemma", {**PALIGEMMA, "text_config": {**GEMMA, **LONG}},
        prefixed(pixels([[0, -16, 6], [0, -16, 6]], padded=False), 40), singles=True, **SEARCHED,
    ),
    "paligemma2": vlm(
        "PaliGemma", {**PALIGEMMA, "text_config": GEMMA2},
        prefixed(pixels([[0, -16, 12], [0, -16, 8]]), 20), singles=True, **STATES,
    ),
    "paligemma2_generate": vlm(
        "PaliGemma", {**PALIGEMMA, "text_config": {**GEMMA2, **LONG}},
        prefixed(pixels([[0, -16, 6], [0, -16, 6]], padded=False), 40), singles=True, **SEARCHED,
    ),
    "gemma3": vlm("Gemma3", GEMMA3, typed(pixels([[3, -4, 2, -4, 6], [5, -4, 8]])), **STATES),
    "gemma3_generate": vlm(  # with a head of its own: the tied one repeats a word
        "Gemma3",
        {
            **GEMMA3, "tie_word_embeddings": False,
            "text_config": {**GEMMA3["text_config"], **LONG, "tie_word_embeddings": False},
        },
        typed(pixels([[3, -4, 7], [4, -4, 6]], padded=False)), singles=True, **SEARCHED,
    ),
    "idefics3": vlm(
        "Idefics3", FRAMES, pixels([[3, -4, 2, -4, 1], [2, -4, -4]], frames=2), **STATES
    ),
    "smolvlm_generate": vlm(
        "SmolVLM", {**FRAMES, "text_config": {**LLAMA, **LONG}},
        pixels([[3, -4, 2, -4], [1, -4, -4, 4]], frames=2, padded=False), singles=True,
        **SEARCHED,
    ),
}  # fmt: skip
