"""Detectors: the layouts of their files, the keys of their configs, masks, and what is refused."""

from __future__ import annotations

import json
import math
import re
import shutil
import warnings

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case, close
from tallow.errors import ArgumentError, ConfigWarning, ContextError, ModelError, ShapeError
from tallow.models.blocks.conv import conv_norm
from tallow.models.blocks.detr import LearnedPositions, SinePositions
from tallow.models.blocks.frozen_norm import FrozenBatchNorm2d
from tallow.models.blocks.timm_resnet import variant
from tallow.safetensors import save_file

# Names of Hugging Face's layout → those of the files that the authors published.
TO_ORIGINAL = (
    (r"model\.backbone\.conv_encoder\.model\.", "backbone.0.body."),
    (r"model\.(en|de)coder\.layernorm\.", r"transformer.\1coder.norm."),
    (r"model\.(en|de)coder\.", r"transformer.\1coder."),
    (r"encoder_attn_layer_norm", "norm2"),
    (r"self_attn_layer_norm", "norm1"),
    (r"(decoder\.layers\.\d+)\.final_layer_norm", r"\1.norm3"),
    (r"final_layer_norm", "norm2"),
    (r"encoder_attn", "multihead_attn"),
    (r"\.fc(\d)\.", r".linear\1."),
    (r"class_labels_classifier", "class_embed"),
    (r"bbox_predictor", "bbox_embed"),
    (r"model\.query_position_embeddings", "query_embed"),
    (r"model\.input_projection", "input_proj"),
)


def copy(case, folder, *, config=(), tensors=None):
    """A golden's folder with keys of its config changed, and other tensors."""
    shutil.copytree(case.folder, folder)
    values = json.loads((folder / "config.json").read_text())
    values |= dict(config)
    (folder / "config.json").write_text(json.dumps(values))
    if tensors is not None:
        save_file(tensors, folder / "model.safetensors")
    return folder


def stored(case):
    return dict(tl.load(case.folder / "model.safetensors"))


def as_published(tensors):
    """Original names, with queries, keys and values stacked."""
    found, stacked = {}, {}
    for name, value in tensors.items():
        for pattern, new in TO_ORIGINAL:
            name = re.sub(pattern, new, name)
        match = re.fullmatch(r"(.*_attn)\.([qkv])_proj\.(weight|bias)", name)
        if match:
            stacked.setdefault(f"{match[1]}.in_proj_{match[3]}", {})[match[2]] = value
        else:
            found[name] = value
    return found | {name: tl.cat([each[k] for k in "qkv"]) for name, each in stacked.items()}


@pytest.mark.parametrize("name", ["table-transformer_timm", "table-transformer_dilated"])
def test_the_authors_files_load(name, tmp_path):
    case = Case(name)
    tensors = as_published(stored(case))
    assert "transformer.decoder.layers.0.multihead_attn.in_proj_weight" in tensors
    assert not any(key.startswith("model.") for key in tensors)
    model = tl.models.load(copy(case, tmp_path / "model", tensors=tensors))
    case.check(case.run(model))
    base = tl.models.load(tmp_path / "model", task="embedding")
    found = base(**case.inputs).last_hidden_state
    close(found.numpy(), case.expected["last_hidden_state"])


def test_a_stack_that_is_no_three_is_told(tmp_path):
    case = Case("table-transformer_timm")
    tensors = as_published(stored(case))
    key = "transformer.encoder.layers.1.self_attn.in_proj_weight"
    tensors[key] = tensors[key][:95]
    with pytest.raises(ModelError, match="in_proj_weight"):
        tl.models.load(copy(case, tmp_path / "model", tensors=tensors))


@pytest.mark.parametrize("name", ["detr", "table-transformer_timm"])
def test_counts_of_batches_are_ignored(name, tmp_path):
    case = Case(name)
    tensors = stored(case)
    for key in [key for key in tensors if key.endswith("running_mean")]:
        tensors[key.replace("running_mean", "num_batches_tracked")] = tl.tensor(7)
    model = tl.models.load(copy(case, tmp_path / "model", tensors=tensors))
    case.check(case.run(model))


@pytest.mark.parametrize(
    "keys",
    [
        {"backbone": "resnet26", "backbone_kwargs": {"out_indices": [1]}},
        {
            "backbone": "resnet26",
            "use_timm_backbone": True,
            "use_pretrained_backbone": True,
            "backbone_kwargs": {"out_indices": [1], "in_chans": 3},
        },
        {"backbone": "resnet26.bt_in1k", "backbone_kwargs": {"out_indices": [1]}},
    ],
    ids=["absent", "true", "tag"],
)
def test_backbones_of_older_configs(keys, tmp_path):
    case = Case("table-transformer_timm")
    folder = copy(case, tmp_path / "model", config={"backbone_config": None, **keys})
    case.check(case.run(tl.models.load(folder)))


def test_dilation_of_older_configs_keeps_the_last_map_large(tmp_path):
    values = json.loads((Case("table-transformer_timm").folder / "config.json").read_text())
    values |= {"backbone_config": None, "backbone": "resnet18"}
    sizes = {}
    for dilation in (False, True):
        model = made(values | {"dilation": dilation}).backbone.conv_encoder.model
        assert model.layer4[0].conv1.stride == (1 if dilation else 2,) * 2
        assert model.layer4[0].conv1.dilation == (1, 1)
        assert model.layer4[0].conv2.dilation == (2 if dilation else 1,) * 2
        assert model.layer4[1].conv1.dilation == (2 if dilation else 1,) * 2
        with tl.no_grad():
            sizes[dilation] = tuple(model(tl.zeros(1, 3, 64, 96)).feature_maps[-1].shape)
    assert sizes == {False: (1, 512, 2, 3), True: (1, 512, 4, 6)}


def made(values):
    """An unfilled base model of a config."""
    from tallow.models.family import read_config
    from tallow.models.fields import Fields
    from tallow.models.table import FAMILIES

    row = FAMILIES[values["model_type"]]
    with tl.nn.deferred():
        return row.model(read_config(row, Fields(values, "config.json")))


def test_a_missing_backbone_is_transformers_own():
    base = {"model_type": "detr"}
    assert "resnet50" in repr(made(base).config.backbone_config)
    found = made(base | {"use_timm_backbone": False}).config.backbone_config
    assert found.config.depths == (3, 4, 6, 3)
    assert found.config.out_features == ("stage4",)


def test_batch_norms_of_backbones_are_frozen():
    for name in ("detr", "table-transformer_timm"):
        model = Case(name).load().train()
        norms = [m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]
        assert norms
        assert not any(isinstance(m, tl.nn.BatchNorm2d) for m in model.modules())
        held = {key for key, _ in model.named_parameters()}
        assert not any("bn1" in key or "normalization" in key for key in held)
        x = tl.randn(2, norms[0].weight.shape[0], 5, 4)
        want = [
            (x - n.running_mean.view(1, -1, 1, 1))
            / (n.running_var.view(1, -1, 1, 1) + 1e-5).sqrt()
            * n.weight.view(1, -1, 1, 1)
            + n.bias.view(1, -1, 1, 1)
            for n in norms[:1]
        ]
        np.testing.assert_allclose(norms[0](x).numpy(), want[0].numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [FrozenBatchNorm2d, tl.nn.BatchNorm2d])
@pytest.mark.parametrize("side", [2, 30], ids=["behind", "folded"])
@pytest.mark.parametrize("bias", [False, True])
def test_norms_that_go_into_kernels(make, side, bias):
    tl.manual_seed(0)
    conv, norm = tl.nn.Conv2d(6, 8, 3, 2, 1, bias=bias), make(8).eval()
    for each in (norm.weight, norm.bias, norm.running_mean):
        each.data.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = tl.randn(2, 6, side, side + 1, requires_grad=True)
    leaves = [x, *conv.parameters(), *norm.parameters()]
    found, want = conv_norm(conv, norm, x), norm(conv(x))
    np.testing.assert_allclose(found.detach().numpy(), want.detach().numpy(), rtol=0, atol=1e-5)
    w = tl.randn(*want.shape)
    for a, b in zip(*(tl.autograd.grad((y * w).sum(), leaves) for y in (found, want)), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-3)


def test_norms_that_learn_or_are_watched_stay():
    conv, norm = tl.nn.Conv2d(3, 4, 3), tl.nn.BatchNorm2d(4)
    x = tl.randn(2, 3, 20, 20)
    found = conv_norm(conv, norm, x)
    np.testing.assert_allclose(found.mean((0, 2, 3)).detach().numpy(), np.zeros(4), atol=1e-5)
    assert norm.num_batches_tracked.item() == 1
    seen = []
    norm.eval().register_forward_hook(lambda *call: seen.append(call))
    conv_norm(conv, norm, x)
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["detr", "table-transformer"])
def test_a_full_mask_is_none(name):
    case = Case(name)
    model = case.load()
    pixels = case.inputs["pixel_values"]
    ones = tl.ones(pixels.shape[0], *pixels.shape[2:], dtype=tl.i64)
    found, want = model(pixels, ones), model(pixels)
    for key in ("logits", "pred_boxes", "encoder_last_hidden_state"):
        close(found[key].numpy(), want[key].numpy(), 1e-5, key)


def test_what_lies_in_the_padding_does_not_matter_to_attention():
    case = Case("detr")
    model = case.load()
    x = tl.randn(1, 12, 32)
    places, mask = tl.randn(1, 12, 32), tl.tensor([[True] * 7 + [False] * 5])[:, None, None]
    other = tl.cat([x[:, :7], tl.randn(1, 5, 32)], 1)
    found, want = (model.model.encoder(each, places, mask)[0][:, :7] for each in (x, other))
    np.testing.assert_array_equal(found.numpy(), want.numpy())


def test_sine_positions_are_parts_of_what_is_kept():
    mask = np.zeros((2, 4, 6), bool)
    mask[0] = True
    mask[1, :3, :4] = True
    found = SinePositions(8)((4, 6), tl.tensor(mask)).numpy().reshape(2, 4, 6, 16)
    whole = SinePositions(8)((4, 6), None).numpy().reshape(4, 6, 16)
    np.testing.assert_allclose(found[0], whole, atol=1e-5)
    for (height, width), row in (((4, 6), 0), ((3, 4), 1)):
        for y in range(height):
            for x in range(width):
                places = (y + 1) / (height + 1e-6), (x + 1) / (width + 1e-6)
                want = [
                    f(2 * math.pi * place / 10000 ** (2 * j / 8))
                    for place in places
                    for j in range(4)
                    for f in (math.sin, math.cos)
                ]
                np.testing.assert_allclose(found[row, y, x], want, atol=1e-5)


def test_learned_positions_end():
    places = LearnedPositions(4)
    assert places((50, 2), None).shape == (1, 100, 8)
    with pytest.raises(ContextError, match="at most 50 rows"):
        places((2, 51), None)


def test_what_each_layer_gave_is_normalised_once_more():
    case = Case("detr_model")
    model = case.load()
    found = model(**case.inputs)
    between = found.intermediate_hidden_states
    assert between.shape == (2, *found.last_hidden_state.shape)
    again = model.decoder.layernorm(between[-1])
    np.testing.assert_array_equal(again.numpy(), found.last_hidden_state.numpy())


def test_outputs_of_an_encoder_spare_it():
    case = Case("detr")
    model = case.load()
    first = model(**case.inputs)
    again = model(**case.inputs, encoder_outputs=(first.encoder_last_hidden_state,))
    assert list(again) == ["logits", "pred_boxes", "last_hidden_state", "encoder_last_hidden_state"]
    np.testing.assert_array_equal(again.logits.numpy(), first.logits.numpy())


def test_arguments_that_are_refused():
    model = Case("table-transformer").load()
    pixels = tl.zeros(1, 3, 32, 32)
    with pytest.raises(ShapeError, match=r"pixel_mask: expected shape \(1, 32, 32\)"):
        model(pixels, tl.ones(1, 32, 31))
    for name in ("decoder_attention_mask", "inputs_embeds", "decoder_inputs_embeds"):
        with pytest.raises(ArgumentError, match=f"{name} to be None"):
            model(pixels, **{name: tl.ones(1, 5)})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"backbone_config": None, "backbone": "efficientnet_b0"}, "backbone: expected a ResNet"),
        ({"backbone_config": {"model_type": "swim"}}, "backbone_config: model_type"),
        ({"backbone_config": {"model_type": "bert"}}, "none for 'backbone'"),
        ({"position_embedding_type": "rope"}, "position_embedding_type"),
        ({"d_model": 34}, "encoder_attention_heads: expected a divisor of d_model"),
        ({"num_hidden_layers": 3}, "num_hidden_layers: expected 2, as encoder_layers has"),
        ({"activation_function": "sine"}, "activation_function"),
        ({"num_queries": 0}, "num_queries"),
        ({"architectures": ["TableTransformerForSegmentation"]}, "architectures"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_configs_that_are_refused(keys, told, tmp_path):
    folder = copy(Case("table-transformer_timm"), tmp_path / "model", config=keys)
    with pytest.raises(ModelError, match=told):
        tl.models.load(folder)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"patch_size": [8, 4]}, "patch_size: expected a square"),
        ({"image_size": [24, 7]}, "image_size"),
        ({"num_detection_tokens": 0}, "num_detection_tokens"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_configs_of_yolos_that_are_refused(keys, told, tmp_path):
    with pytest.raises(ModelError, match=told):
        tl.models.load(copy(Case("yolos"), tmp_path / "model", config=keys))


def test_middle_positions_by_their_name_in_memory(tmp_path):
    case = Case("yolos")
    tensors = stored(case)
    name = "vit.encoder.mid_position_embeddings"
    tensors[name.replace("encoder.", "encoder.interpolation.")] = tensors.pop(name)
    case.check(case.run(tl.models.load(copy(case, tmp_path / "model", tensors=tensors))))


def test_a_detector_from_a_file_that_segments(tmp_path):
    case = Case("detr_segmentation")
    found = case.load(task="object-detection")(**case.inputs)
    for key in ("logits", "pred_boxes"):
        close(found[key].numpy(), case.expected[key], name=key)
    assert type(case.load(task="image-segmentation")).__name__ == "DetrForSegmentation"
    values = json.loads((case.folder / "config.json").read_text())["backbone_config"]
    values |= {"out_features": ["stage4"], "out_indices": None}
    folder = copy(case, tmp_path / "model", config={"backbone_config": values})
    with pytest.raises(ModelError, match="3 or 4 stages"):
        tl.models.load(folder)


def test_fewer_positions_than_queries():
    model = Case("rt_detr").load()
    with pytest.raises(ShapeError, match="topk: expected k"):
        model(tl.zeros(1, 3, 32, 32)[:, :, :, :32], encoder_outputs=([tl.zeros(1, 32, 1, 1)] * 3,))


def test_stages_of_backbones_that_are_not_there():
    values = json.loads((Case("table-transformer_timm").folder / "config.json").read_text())
    values["backbone_config"] |= {"out_indices": [5], "out_features": None}
    with pytest.raises(ModelError, match="out_indices"):
        made(values)


def test_unknown_keys_of_a_backbone_are_told(tmp_path):
    values = json.loads((Case("detr").folder / "config.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(values)
    values["backbone_config"]["stem_kind"] = "odd"
    with pytest.warns(ConfigWarning, match="stem_kind"):
        made(values)


@pytest.mark.parametrize(
    "name",
    ["resnet17", "resnext50", "wide_resnet50", "resnet50_32x4d", "resnetv2_50", "seresnet50"],
)
def test_names_of_timm_that_are_no_resnets(name):
    assert variant(name) is None
