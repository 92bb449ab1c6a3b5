"""Configs of convolutional networks: what is accepted, and what is refused by name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import ROOT, Case
from tallow.errors import ModelError


def changed(case, tmp_path, **values):
    """A copy of a golden with other values in its config."""
    folder = tmp_path / case
    shutil.copytree(ROOT / case, folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    kept = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


REFUSED = [
    ("convnext", "depths", [2], "one number for each of 2 stages"),
    ("convnext", "hidden_act", "snake", "one of"),
    ("convnextv2", "patch_size", [4, 4, 4], "2 integers"),
    ("efficientnet", "hidden_dim", 1280, "320, which is 1280 by the width_coefficient"),
    ("efficientnet", "strides", [1, 2], "one number for each of 3 stages"),
    ("efficientnet", "strides", [1, 2, 3], "integers from 1 to 2"),
    ("efficientnet", "pooling_type", "median", "'mean' or 'max'"),
    ("efficientnet", "depth_coefficient", -1, "a number in (0, 64]"),
    ("mobilenet_v1", "depth_multiplier", 0, "a number in (0, 64]"),
    ("mobilenet_v2", "output_stride", 7, "32 or 16 or 8"),
    ("regnet", "layer_type", "z", "'y' or 'x'"),
    ("regnet", "groups_width", 20, "divides [32, 64] into groups"),
    ("regnet", "num_channels", 4, "(16, 4, 3, 3)"),
]


@pytest.mark.parametrize(("case", "key", "value", "told"), REFUSED)
def test_refused_by_name(case, key, value, told, tmp_path):
    with pytest.raises(ModelError) as caught:
        tl.models.load(changed(case, tmp_path, **{key: value}))
    text = str(caught.value)
    assert told in text
    assert key in text or "model.safetensors" in text


@pytest.mark.parametrize("case", ["convnext", "efficientnet", "mobilenet_v1", "regnet"])
def test_a_base_model_from_a_classifiers_file(case):
    whole = Case(f"{case}_classification")
    classifier = whole.load()
    base = whole.load(task="embedding")
    name = classifier.base_model_prefix
    want = getattr(classifier, name)(**whole.inputs).pooler_output
    assert np.array_equal(base(**whole.inputs).pooler_output.numpy(), want.numpy())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"out_features": ["stage9"], "out_indices": None}, "stage9"),
        ({"out_features": None, "out_indices": [1, 7]}, "7"),
        ({"out_features": None, "out_indices": [-4]}, "-4"),
    ],
)
def test_a_stage_that_is_not_there(values, told, tmp_path):
    with pytest.raises(ModelError, match=rf"out_features: expected some of stem.*{told}"):
        tl.models.load(changed("convnext_backbone", tmp_path, **values))


def test_one_number_stands_for_both_sides_of_a_patch(tmp_path):
    folder = changed(
        "convnext", tmp_path, patch_size=4, image_size=[40, 56], transformers_version=...
    )
    assert tl.models.load(folder).config.patch_size == (4, 4)


def test_a_classifiers_loss():
    case = Case("mobilenet_v2_segmentation")
    labels = tl.tensor(np.full((2, 70, 61), 255))
    labels[:, :30] = 2
    model = case.load()
    whole = model(**case.inputs, labels=labels)
    scores = tl.nn.functional.interpolate(whole.logits, size=(70, 61), mode="bilinear")
    chosen = scores.log_softmax(1)[:, 2, :30]
    np.testing.assert_allclose(whole.loss.item(), -chosen.mean().item(), rtol=1e-5)
