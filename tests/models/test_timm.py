"""timm's checkpoints: tasks, transformers' wrapper, what is refused, and every name beside timm."""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, ROOT, Case, close
from tallow.errors import ModelError
from tallow.models.fields import Fields
from tallow.models.table import TIMM, find_timm
from tallow.safetensors import save_file

TIMM_CASES = [
    name
    for name in CASES
    # Others without a model_type (SNAC) have no architecture of timm's.
    if {"model_type", "architecture"} & json.loads((ROOT / name / "config.json").read_text()).keys()
    == {"architecture"}
]
every_case = pytest.mark.parametrize("name", TIMM_CASES)


def test_every_row_has_a_golden():
    held = {type(Case(name).load()) for name in TIMM_CASES}
    assert {row.model for row in TIMM} <= held


@every_case
def test_the_task_embedding(name):
    case = Case(name)
    want, found = case.part("view"), case.load(task="embedding")(**case.inputs)
    for key in ("last_hidden_state", "pooler_output"):
        close(found[key].numpy(), want[key], name=key)


@every_case
def test_the_task_backbone(name):
    case = Case(name)
    want = {k: v for k, v in case.part("view").items() if k.startswith("feature_maps")}
    found = case.load(task="backbone")(**case.inputs).feature_maps
    assert len(found) == len(want)
    for i, value in enumerate(found):
        close(value.numpy(), want[f"feature_maps.{i}"], name=str(i))


def changed(name, tmp_path, *, prefix="", **values):
    """A copy of a golden, its tensors below a prefix, with other values in its config."""
    folder = tmp_path / name
    shutil.copytree(ROOT / name, folder)
    config = json.loads((folder / "config.json").read_text()) | values
    kept = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))
    tensors = tl.load(folder / "model.safetensors")
    save_file({prefix + k: v for k, v in tensors.items()}, folder / "model.safetensors")
    return folder


WRAPPED = {
    "model_type": "timm_wrapper",
    "label_names": list("abcdefg"),
    "do_pooling": True,
    "torch_dtype": "float32",
}


@every_case
def test_transformers_wrapper(name, tmp_path):
    case = Case(name)
    values = {**WRAPPED, "architectures": ["TimmWrapperForImageClassification"]}
    folder = changed(name, tmp_path, prefix="timm_model.", **values)
    model = tl.models.load(folder)
    case.check(model(**case.inputs))
    assert model.config.id2label[2] == "c"
    stored = tl.load(folder / "model.safetensors").keys()
    assert stored <= model.state_dict().keys()
    features = tl.models.load(folder, task="embedding")
    assert type(features).__name__ == "TimmWrapperModel"
    close(features(**case.inputs).pooler_output.numpy(), case.part("view")["pooler_output"])
    assert features(**case.inputs, do_pooling=False).pooler_output is None


def test_a_wrapper_over_names_without_its_prefix(tmp_path):
    case = Case("timm_mobilenetv3")
    model = tl.models.load(changed(case.name, tmp_path, **WRAPPED))
    case.check(model(**case.inputs))


FUSING = ["timm_fastvit", "timm_fastvit_mci3", "timm_mobileone", "timm_repvgg"]


@pytest.mark.parametrize("name", FUSING)
def test_fused_branches_equal_them(name, tmp_path):
    case = Case(name)
    model = case.load(dtype=tl.f32)
    before = model.state_dict().keys()
    fused = model.reparameterize()
    close(fused(**case.inputs).logits.numpy(), case.expected["logits"], 5e-4)
    names = fused.state_dict().keys()
    assert any("reparam_conv" in each for each in names)
    assert not any("conv_kxk" in each or "identity" in each for each in names)
    assert len(names) < len(before)
    fused.save_pretrained(tmp_path / "fused")
    again = tl.models.load(tmp_path / "fused")
    assert again.state_dict().keys() == names
    want = fused(**case.inputs).logits.numpy()
    np.testing.assert_array_equal(again(**case.inputs).logits.numpy(), want)
    assert again.reparameterize().state_dict().keys() == names


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", FUSING)
def test_files_that_timm_fused(name, tmp_path):
    _, timm = reference_packages()
    oracle = importlib.import_module("golden.timm_oracle")
    from safetensors.torch import load_file
    from safetensors.torch import save_file as save

    config = json.loads((ROOT / name / "config.json").read_text())
    values = {**config["model_args"], "num_classes": 7}
    model = oracle.timm_model(config["architecture"], values).eval()
    weights = load_file(ROOT / name / "model.safetensors")
    model.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    )
    fused = timm.utils.reparameterize_model(model)
    folder = changed(name, tmp_path)
    save(fused.state_dict(), folder / "model.safetensors")
    case = Case(name)
    close(tl.models.load(folder)(**case.inputs).logits.numpy(), case.expected["logits"], 5e-4)


def test_a_file_with_neither_form_is_told(tmp_path):
    folder = changed("timm_repvgg", tmp_path)
    tensors = dict(tl.load(folder / "model.safetensors"))
    rest = {k: v for k, v in tensors.items() if not k.startswith("stem.")}
    save_file(rest, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"stem\.conv_kxk\.conv\.weight"):
        tl.models.load(folder)


def test_the_loss_and_labels(tmp_path):
    case = Case("timm_mobilenetv3")
    folder = changed(case.name, tmp_path, label_names=list("abcdefg"))
    model = tl.models.load(folder)
    assert model.config.id2label == dict(enumerate("abcdefg"))
    found = model(case.inputs["pixel_values"], tl.tensor([1, 6]))
    logits = found.logits.log_softmax(-1).numpy()
    np.testing.assert_allclose(found.loss.item(), -(logits[0, 1] + logits[1, 6]) / 2, rtol=1e-5)


REFUSED = [
    ({"architecture": "mobilenetv9_small"}, "architecture"),
    ({"architecture": "swiss_cheese"}, "mobilenetv[1-4]_*"),
    ({"architecture": None}, "architecture"),
    ({"model_args": {"aa_layer": "blurpc"}}, "aa_layer"),
    ({"model_args": {"block_args": [["ir_r1_k3_s2"]]}}, "ir_r1_k3_s2"),
    ({"model_args": {"block_args": [["ir_r1_k3.5_s2_e6_c8"]]}}, "k3.5"),
    ({"model_args": {"block_args": [["ir_r99999999_k3_s2_e6_c8"]]}}, "r99999999"),
    ({"model_args": {"block_args": "x" * 5}}, "block_args"),
    ({"model_args": {"block_args": []}}, "block_args"),
    ({"model_args": [1]}, "model_args"),
    ({"pretrained_cfg": {"input_size": [3]}}, "input_size"),
    ({"model_args": {"global_pool": "median"}}, "global_pool"),
    ({"model_args": {"act_layer": "snake"}}, "act_layer"),
    ({"num_classes": -1}, "num_classes"),
    ({"num_classes": 7, "label_names": ["a"]}, "label_names"),
    ({"model_args": {"channel_multiplier": 0}}, "channel_multiplier"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_refused_by_name(values, told, tmp_path):
    folder = changed("timm_mobilenetv3", tmp_path, **values)
    with pytest.raises(ModelError, match=r".") as caught:
        tl.models.load(folder)
    assert told in str(caught.value)


def reference_packages():
    torch = pytest.importorskip("torch")
    with contextlib.suppress(ImportError):  # without torchvision there is nothing to mend
        importlib.import_module("golden.tvstub")
    return torch, pytest.importorskip("timm")


def known_names(timm):
    """Every name of timm that a row takes, and whether the row has its variant."""
    for name in timm.list_models():
        if any(fnmatch.fnmatchcase(name, pattern) for row in TIMM for pattern in row.patterns):
            yield name, find_timm(name, "").config.variant(name) is not None


@pytest.mark.needs_torch
@pytest.mark.slow
def test_every_variant_has_the_tensors_of_timm():
    torch, timm = reference_packages()
    count = 0
    for name, known in known_names(timm):
        if not known:
            continue
        with torch.device("meta"):
            want = {k: tuple(v.shape) for k, v in timm.create_model(name).state_dict().items()}
        row = find_timm(name, "")
        with tl.nn.deferred():
            model = row.model(row.config.read(Fields({"architecture": name}, name)))
        found = {k: tuple(v.shape) for k, v in model.state_dict(keep_vars=True).items()}
        assert found == want, name
        count += 1
    assert count >= 100


@pytest.mark.needs_torch
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv3_small_050",
        "tf_efficientnet_lite0",
        "mobilenetv4_conv_small_050",
        "resnet26d",
        "tiny_vit_5m_224",
        "convnextv2_atto",
        "efficientvit_b0",
        "efficientvit_l1",
    ],
)
def test_whole_variants_equal_timm(name):
    torch, timm = reference_packages()
    torch.manual_seed(0)
    reference = timm.create_model(name).eval()
    row = find_timm(name, "")
    model = row.model(row.config.read(Fields({"architecture": name}, name))).eval()
    for key, value in reference.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
    model.load_state_dict({k: tl.tensor(v.numpy()) for k, v in reference.state_dict().items()})
    x = torch.randn(1, 3, 97, 80)
    with torch.no_grad():
        want = reference(x).numpy()
    with tl.no_grad():
        found = model(tl.tensor(x.numpy())).logits.numpy()
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-3 * want.std())
