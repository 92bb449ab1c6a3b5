"""RT-DETR: heads by two names, what files may lack, masks, configs that are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from models.test_detection import copy, stored
from tallow.errors import ModelError

HEADS = r"model\.decoder\.((class|bbox)_embed\..*)"


@pytest.mark.parametrize("kept", [False, True], ids=["moved", "twice"])
@pytest.mark.parametrize("name", ["rt_detr", "rt_detr_v2"])
def test_heads_of_layers_at_the_top_of_a_file(name, kept, tmp_path):
    case = Case(name)
    tensors = stored(case)
    for key in [key for key in tensors if re.fullmatch(HEADS, key)]:
        value = tensors[key] if kept else tensors.pop(key)
        tensors[re.sub(HEADS, r"\1", key)] = value.clone()
    case.check(case.run(tl.models.load(copy(case, tmp_path / "model", tensors=tensors))))


def test_embeddings_of_denoising_may_be_absent(tmp_path):
    case = Case("rt_detr")
    tensors = stored(case)
    del tensors["model.denoising_class_embed.weight"]
    model = tl.models.load(copy(case, tmp_path / "model", tensors=tensors))
    case.check(case.run(model))


def test_a_mask_changes_nothing_in_rt_detr():
    case = Case("rt_detr")
    model, pixels = case.load(), case.inputs["pixel_values"]
    mask = tl.ones(pixels.shape[0], *pixels.shape[2:], dtype=tl.i64)
    mask[:, :, 40:] = 0
    found, want = model(pixels, mask), model(pixels)
    np.testing.assert_array_equal(found.logits.numpy(), want.logits.numpy())
    again = model(pixels, encoder_outputs=(want.encoder_last_hidden_state,))
    np.testing.assert_array_equal(again.pred_boxes.numpy(), want.pred_boxes.numpy())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"normalize_before": True}, "normalize_before: expected False"),
        ({"learn_initial_query": True}, "learn_initial_query: expected False"),
        ({"decoder_method": "discrete"}, "decoder_method: expected 'default'"),
        ({"decoder_n_levels": 4}, "decoder_n_levels: expected 3"),
        ({"num_feature_levels": 2}, "num_feature_levels: expected at least 3"),
        ({"decoder_in_channels": [32, 32]}, "decoder_in_channels: expected 32 for each of 3"),
        ({"encode_proj_layers": [3]}, "encode_proj_layers: expected numbers of 3 maps"),
        ({"encoder_in_channels": [16] * 2, "decoder_in_channels": [32] * 2,
          "encode_proj_layers": [0]}, "backbone_config: expected 2 stages"),
        ({"backbone": "resnet50"}, "backbone: expected None"),
        ({"decoder_attention_heads": 5}, "decoder_attention_heads: expected a divisor of 32"),
        ({"encoder_hidden_dim": 34, "encoder_attention_heads": 2}, "encoder_hidden_dim"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_configs_of_rt_detr_that_are_refused(keys, told, tmp_path):
    folder = copy(Case("rt_detr_v2"), tmp_path / "model", config=keys)
    with pytest.raises(ModelError, match=told):
        tl.models.load(folder)
