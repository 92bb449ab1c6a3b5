"""Every check of every family against the goldens of transformers, as docs/reference tells."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, SMALL, TOLERANCE, Case, close, kept
from tallow.errors import ModelError
from tallow.models import FAMILIES
from tallow.models.base import Model
from tallow.models.family import IGNORABLE
from tallow.nn.state import targets
from tallow.safetensors import save_file

every_case = pytest.mark.parametrize("name", CASES)


def test_every_family_has_a_golden():
    held = {Case(name).load().config.__class__ for name in CASES}
    for name, row in FAMILIES.items():
        assert row.config in held, name


@every_case
def test_outputs(name):
    case = Case(name)
    case.check(case.run(case.load()))


@every_case
def test_gradients(name):
    case = Case(name)
    model = case.load(dtype=tl.f32).requires_grad_()
    ((output, w),) = case.part("w").items()
    (case.run(model)[output] * tl.tensor(w)).sum().backward()
    expected, tops = case.part("grad"), case.part("top")
    overall = max(top.item() for top in tops.values())
    named = {
        key: tl.zeros(p.shape) if p.grad is None else p.grad
        for key, p in model.named_parameters(remove_duplicate=False)
    }
    if expected.keys() - named.keys():  # of names that files have
        named = model.as_stored(named)
    assert expected.keys() <= named.keys()
    for key, want in expected.items():
        found = kept(named[key].numpy())
        top = max(tops[key].item(), SMALL * overall)
        np.testing.assert_allclose(found, want, rtol=0, atol=TOLERANCE * top, err_msg=key)


@every_case
def test_batch_equals_singles(name):
    case = Case(name)
    if case.notes["singles"] != "True":
        pytest.skip("the reference's rows depend on their neighbours' padding")
    model = case.load()
    rows = next(iter(case.inputs.values())).shape[0]
    assert rows > 1
    whole = case.run(model)
    for row in range(rows):
        alone, kept, full = single(case, row)
        found = case.run(model, alone)
        for key, value in found.items():
            want = whole[key][row : row + 1].numpy()
            want = cut(want, full, kept)
            frames = value.ndim == 3 and full is not None and value.shape[1] < want.shape[1]
            want = want[:, : value.shape[1]] if frames else want  # of sounds, padded behind
            close(value.numpy(), want, name=key)


def single(case, row):
    """The inputs of one row without its padding, where they stand, and the batch's length."""
    inputs = {key: value[row : row + 1] for key, value in case.inputs.items()}
    mask = inputs.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return inputs, None, None
    full, first = mask.shape[1], int(mask.argmax(1).item())  # padding is right or left
    kept = slice(first, first + int(mask.sum().item()))
    ids = {key for key, value in inputs.items() if value.ndim >= 2 and value.shape[1] == full}
    return {k: v[:, kept] if k in ids else v for k, v in inputs.items()}, kept, full


def cut(want, full, kept):
    return want[:, kept] if full is not None and want.shape[1:2] == (full,) else want


@every_case
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32"])
def test_float_weights(name, dtype):
    case = Case(name)
    wanted = getattr(tl, dtype)
    model = case.model_with(lambda _, x: x.to(wanted) if x.dtype.kind == "f" else x)
    case.check(case.run(model))


@every_case
def test_quantised_weights(name):
    case = Case(name)
    linear = {
        path
        for path, module in case.load().named_modules()
        if isinstance(module, tl.nn.Linear) and module.weight.shape[1] % 32 == 0
    }
    # By shape, too, for names of the file and of the model may differ.
    shapes = {tuple(case.load().get_submodule(path).weight.shape) for path in linear}
    if not linear:
        pytest.skip("no matrix whose rows divide into blocks of 32")

    def packed(key, x):
        path = key.removesuffix(".weight")
        fits = path in linear or (x.ndim == 2 and tuple(x.shape) in shapes)
        return x.to(tl.f32).to(tl.q8_0) if fits and key.endswith("weight") else x

    def unpacked(key, x):
        found = packed(key, x)
        return found.to(tl.f32) if found.dtype is tl.q8_0 else found

    quantised = case.model_with(packed)
    assert any(p.dtype is tl.q8_0 for p in quantised.parameters())
    found, want = case.run(quantised), case.run(case.model_with(unpacked))
    for key in found:
        close(found[key].numpy(), want[key].numpy(), name=key)


@every_case
def test_names_are_the_checkpoints(name):
    case = Case(name)
    model = case.load()
    stored = set(tl.load(case.folder / "model.safetensors"))
    own = dict(model.state_dict(keep_vars=True))
    if model.stored_dict().keys() - own.keys():  # tensors of the file are stacked in the model
        own = model.stored_dict()
    optional = {p for p, t in targets(model) if t.optional}
    count = Counter(map(id, own.values()))
    shared = {key for key, value in own.items() if count[id(value)] > 1}
    assert stored - own.keys() <= ignored(model, stored), "the file has names of its own"
    assert own.keys() - stored <= optional | shared


def ignored(model, names):
    patterns = [*IGNORABLE, *model.ignored()]
    return {name for name in names if any(re.fullmatch(p, name) for p in patterns)}


@every_case
def test_save_and_load(name, tmp_path):
    case = Case(name)
    model = case.load()
    model.save_pretrained(tmp_path / "again")
    again = tl.models.load(tmp_path / "again")
    assert isinstance(again, Model)
    assert type(again) is type(model)
    for (key, value), other in zip(case.run(model).items(), case.run(again).values(), strict=True):
        assert np.array_equal(value.numpy(), other.numpy()), key


@every_case
def test_captured(name):
    case = Case(name)
    model = case.load()
    names = list(case.inputs)

    def call(*tensors):
        return list(case.run(model, dict(zip(names, tensors, strict=True))).values())

    with tl.inference_mode():
        examples = [value.clone() for value in case.inputs.values()]
        plan = tl.capture(call, *examples)
        turned = [value.flip(0).contiguous() for value in case.inputs.values()]
        want = [value.numpy().copy() for value in call(*turned)]
        for value, other in zip(plan(*turned), want, strict=True):
            assert np.array_equal(value.numpy(), other)
        for key, value in zip(case.expected, plan(*case.inputs.values()), strict=True):
            close(value.numpy(), case.expected[key], name=key)


def generated() -> list[tuple[str, str]]:
    return [(name, key) for name in CASES for key in Case(name).part("gen")]


@pytest.mark.parametrize(("name", "key"), generated())
def test_generation(name, key):
    case = Case(name)
    options = json.loads(case.notes["generate"])[key]
    inputs = {**case.inputs, **case.lists, **options}
    given = {k: v for k, v in inputs.items() if v is not None}
    found = case.load().generate(**given)
    assert found.tolist() == case.part("gen")[key].tolist()


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_fit_is_told_at_once(name, tmp_path):
    case = Case(name)
    shutil.copytree(case.folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    tensors = dict(tl.load(path))
    unused = ignored(case.load(), tensors.keys())
    floats = [
        key
        for key, value in tensors.items()
        if value.dtype.kind == "f" and value.ndim > 1 and key not in unused
    ]
    first, last = floats[0], floats[-1]
    assert first != last
    tensors["nobody.knows"] = tensors.pop(first)
    tensors[last] = tl.zeros(3, 1, 5, 7)
    save_file(tensors, path)
    with pytest.raises(ModelError) as caught:
        tl.models.load(tmp_path / "model")
    text = str(caught.value)
    assert "model.safetensors" in text
    assert "nobody.knows" in text
    assert last in text
