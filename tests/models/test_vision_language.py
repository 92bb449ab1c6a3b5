"""Models of pictures and text: what is refused, padding at either side, rows beside others."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from models.golden_families import ROOT, Case, close
from tallow.errors import ArgumentError, ModelError
from tallow.models.fields import Fields
from tallow.models.table import FAMILIES


def read(name, **changes):
    """The config of a golden with some values changed, `part.key` in its parts."""
    config = json.loads((ROOT / name / "config.json").read_text())
    for key, value in changes.items():
        part, _, inner = key.rpartition("__")
        (config[part] if part else config)[inner] = value
    return FAMILIES[config["model_type"]].config.read(Fields(config, "config.json"))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("qwen2_vl", {"text_config__rope_parameters": {"mrope_section": [1, 1]}}, "mrope_section"),
        ("qwen2_vl", {"text_config__rope_parameters": {"mrope_section": "x"}}, "mrope_section"),
        ("qwen2_vl", {"vision_config__num_heads": 16}, "embed_dim"),
        ("qwen2_5_vl", {"vision_config__window_size": 4}, "window_size"),
        ("qwen3_vl", {"vision_config__num_position_embeddings": 15}, "num_position_embeddings"),
        ("qwen3_vl", {"vision_config__deepstack_visual_indexes": [1, 0]}, "deepstack"),
        ("qwen3_vl", {"vision_config__deepstack_visual_indexes": [0, 9]}, "deepstack"),
        ("llava", {"vision_feature_layer": 9}, "vision_feature_layer"),
        ("llava", {"vision_feature_layer": []}, "vision_feature_layer"),
        ("llava", {"vision_feature_select_strategy": "x"}, "vision_feature_select_strategy"),
        ("mistral3", {"vision_feature_layer": [-1, -2]}, "vision_feature_layer"),
        ("idefics3", {"scale_factor": 3}, "scale_factor"),
    ],
)
def test_configs_that_contradict_themselves(name, changes, said):
    with pytest.raises(ModelError, match=said):
        read(name, **changes)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_grids_belong_to_patches_and_places(name):
    case = Case(name)
    model, inputs = case.load(), case.inputs
    for grids, said in (
        ([[1, 4, 6]], "image_grid_thw: expected 40 patches, got 24"),
        ([[1, 4, 5], [1, 4, 5]], "in multiples of 2"),
        ([[1, 0, 6]], "in multiples of 2"),
        ([], "in multiples of 2"),
        (None, "in multiples of 2"),
    ):
        with pytest.raises(ArgumentError, match=said):
            model(**inputs, image_grid_thw=grids)
    fewer = {**inputs, "input_ids": inputs["input_ids"].clamp(max=59)}
    wanted = "10 ids 60, as many as vectors of pictures, got 0"
    with pytest.raises(ArgumentError, match=wanted):
        model(**fewer, image_grid_thw=case.lists["image_grid_thw"])


def test_sizes_belong_to_pictures():
    case = Case("mistral3")
    model = case.load()
    for sizes in ([[8, 24]], [[8, 24], [8, 8], [16, 99]], [[8, 24], [8, 8], [1, 8]]):
        with pytest.raises(ArgumentError, match="heights and widths from 4 to 16 × 24 of 3"):
            model(**case.inputs, image_sizes=sizes)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava", "idefics3"])
def test_a_state_gives_what_a_pass_gives(name):
    case = Case(name)
    model = case.load()
    whole = case.run(model)["logits"].numpy()
    state = model.make_state(2)
    found = model(**case.inputs, **case.lists, state=state).logits.numpy()
    kept = case.inputs["attention_mask"].numpy().astype(bool)
    close(found[kept], whole[kept])
    lengths = kept.sum(1).tolist()
    assert state.lengths == lengths
    again = tl.tensor([[7], [9]])
    more = model(again, state=state).logits.numpy()
    for row, length in enumerate(lengths):  # as if it had stood there from the beginning
        inputs = {key: value for key, value in case.inputs.items() if key != "attention_mask"}
        ids = inputs.pop("input_ids").numpy().copy()
        ids = np.concatenate([ids, np.zeros((2, 1), ids.dtype)], 1)
        ids[row, length] = int(again[row, 0].item())
        inputs.pop("mm_token_type_ids", None)
        want = model(tl.tensor(ids), **inputs, **case.lists).logits.numpy()
        close(more[row, 0], want[row, length])


def test_frames_of_zeros_are_padding():
    case = Case("idefics3")
    model, pixels = case.load(), case.inputs["pixel_values"]
    padded = tl.cat([pixels, tl.zeros(2, 1, *pixels.shape[2:])], 1)
    mask = tl.ones(2, 3, 16, 16, dtype=tl.i64)
    found = model(**{**case.inputs, "pixel_values": padded, "pixel_attention_mask": mask})
    close(found.logits.numpy(), case.expected["logits"])
