"""Configs that contradict themselves, and inputs of other axes: one error of ours, by name."""

from __future__ import annotations

import contextlib
import json
import os
import random
import warnings

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, Case
from tallow.errors import ConfigWarning, ModelError, ShapeError, TallowError

FIRST = {name.partition("_")[0]: name for name in reversed(CASES)}  # one of each first word
VALUES = [
    None, "x", "", -1, 0, 1, 3, 7, 1000, 2**20, 2**31, 2**63, 1e30, 1e-30, float("nan"),
    float("inf"), -0.5, 2.5, [], {}, [0], True, False, [None], ["a"], [[1]], {"a": 1}, "1", [-1],
    [2**40], [3, 3], [1, 2, 3, 4, 5, 6, 7], {"rope_type": "yarn"},
]  # fmt: skip


def changed(case, tmp_path, config):
    """A folder with the weights of a golden and another config."""
    folder = tmp_path / "changed"
    folder.mkdir(exist_ok=True)
    for path in Case(case).folder.iterdir():
        if path.name.startswith("model") and not (folder / path.name).exists():
            os.symlink(path, folder / path.name)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def config_of(case):
    return json.loads((Case(case).folder / "config.json").read_text())


CONTRADICTIONS = [
    ("bert", {"architectures": {}}, "architectures: expected one of"),
    ("bert", {"num_attention_heads": 5}, "num_attention_heads: expected a divisor of hidden_size"),
    ("distilbert", {"n_heads": 3}, "n_heads: expected a divisor of dim 32"),
    ("dinov2", {"num_attention_heads": 3}, "num_attention_heads: expected a divisor"),
    ("depth_anything", {"backbone_config": {"num_attention_heads": 64}}, "num_attention_heads"),
    ("clip", {"text_config": {"num_attention_heads": 64}}, "text_config: num_attention_heads"),
    ("sam", {"vision_config": {"num_attention_heads": 64}}, "num_attention_heads"),
    ("bert", {"pad_token_id": 10**6}, "pad_token_id: expected an id below vocab_size 96"),
    ("modernbert", {"pad_token_id": 96}, "pad_token_id: expected an id below vocab_size 96"),
    ("dinov2", {"mlp_ratio": -2}, "mlp_ratio: expected a number in"),
    ("hiera", {"mlp_ratio": 0}, "mlp_ratio: expected a number in"),
    ("swin", {"mlp_ratio": 1e30}, "mlp_ratio: expected a number in"),
    ("resnet", {"depths": [1]}, "depths: expected one number for each of 2 stages"),
    ("convnext_backbone", {"out_features": ["stem", "stage2", "stage2"], "out_indices": None},
     "out_features: expected stages in their order"),
    ("swin_backbone", {"out_features": ["stage2", "stage1"], "out_indices": None},
     "out_features: expected stages in their order"),
    ("swinv2_backbone", {"out_features": None, "out_indices": [2, 1]},
     "out_indices: expected stages in their order"),
    ("dinov2_backbone", {"out_features": ["stage1"], "out_indices": [2]},
     "out_indices: expected (1,), as out_features has"),
    ("dinov3_vit_backbone", {"out_features": None, "out_indices": [900]}, "which is not there"),
    ("rt_detr_resnet", {"out_features": None, "out_indices": [900]}, "which is not there"),
    ("bert", {"num_hidden_layers": 1000}, "num_hidden_layers: expected no more than"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "changes", "told"), CONTRADICTIONS)
def test_contradictions_name_file_and_field(case, changes, told, tmp_path):
    config = config_of(case)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = {**config[key], **value} if nested else value
    with pytest.raises(ModelError) as caught:
        tl.models.load(changed(case, tmp_path, config))
    assert told in str(caught.value)
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize("case", sorted(FIRST.values()))
def test_any_value_gives_a_model_or_one_of_our_errors(case, tmp_path):
    source, config = random.Random(case), config_of(case)
    for _ in range(6):
        one = json.loads(json.dumps(config))
        part, key = one, source.choice(sorted(one))
        while isinstance(part[key], dict) and part[key] and key not in ("id2label", "label2id"):
            part = part[key]
            key = source.choice(sorted(part))
        part[key] = source.choice(VALUES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfigWarning)
            with contextlib.suppress(TallowError):  # any other fails the test
                tl.models.load(changed(case, tmp_path, one))


TEXTS = sorted(name for name in FIRST.values() if "in.input_ids" in Case(name).arrays)
PICTURES = sorted(
    name
    for name in FIRST.values()
    if Case(name).arrays.get("in.pixel_values", np.ones(1)).ndim == 4
)


@pytest.mark.parametrize("case", TEXTS)
def test_ids_of_other_axes_are_refused(case):
    golden = Case(case)
    model = golden.load()
    ids = golden.inputs["input_ids"]
    for other in (ids[0], ids.unsqueeze(0)):
        with pytest.raises(TallowError, match="input_ids"):
            model(**{**golden.inputs, "input_ids": other})


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_of_other_axes_are_refused(case):
    golden = Case(case)
    model = golden.load()
    pixels = golden.inputs["pixel_values"]
    with pytest.raises(ShapeError):
        model(**{**golden.inputs, "pixel_values": pixels[0]})


@pytest.mark.parametrize("case", ["vit", "clip_vision", "siglip_vision", "dinov2", "beit", "swin"])
@pytest.mark.parametrize("kind", ["f64", "f16", "u8", "i64"])
def test_pictures_of_any_dtype_count_as_floats(case, kind):
    golden = Case(case)
    model = golden.load()
    pixels = (golden.inputs["pixel_values"] * 4).clamp(0, 9).to(tl.i64)
    want = model(**{**golden.inputs, "pixel_values": pixels.to(tl.f32)}).last_hidden_state
    found = model(**{**golden.inputs, "pixel_values": pixels.to(getattr(tl, kind))})
    assert np.array_equal(found.last_hidden_state.numpy(), want.numpy())


@pytest.mark.parametrize(
    "told",
    [
        {"output_hidden_states": True},
        {"output_attentions": True},
        {"return_dict": False},
        {"torchscript": True},
    ],
)
def test_what_a_config_says_of_calls_is_told(told, tmp_path):
    folder = changed("bert", tmp_path, {**config_of("bert"), **told})
    with pytest.warns(ConfigWarning, match=f"{next(iter(told))}: .* is not followed"):
        tl.models.load(folder)


def test_the_defaults_of_calls_are_not_told(tmp_path):
    usual = {"output_hidden_states": False, "return_dict": True, "torchscript": None}
    folder = changed("bert", tmp_path, {**config_of("bert"), **usual})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConfigWarning)
        tl.models.load(folder)
