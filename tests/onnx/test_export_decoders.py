"""Decoders from every kind of file as ONNX graphs: prompts of any length, quantised weights."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.conftest import Golden
from tallow import nn
from tallow.formats.onnx import open_onnx
from tallow.onnx.exporter.examples import example_inputs

FORMS = [
    *((case, "hf") for case in ("llama", "llama3", "llama_bias", "mistral", "qwen2", "qwen3")),
    *((case, form) for case in ("llama", "qwen3") for form in ("f16", "q4_0", "q8_0")),
]
KEPT = {"q4_0": "int4", "q8_0": "int8"}


def exported(case, form, path, opset, **options):
    model = Golden(case).load(form)
    examples, dynamic = example_inputs(model)
    tl.onnx.export(model, examples, path, opset=opset, dynamic=dynamic, **options)
    return model, open_onnx(path)


def check(model, run):
    for batch, length in ((1, 1), (3, 13)):
        ids = (tl.arange(batch * length) * 7 % 60).reshape(batch, length)
        with tl.inference_mode():
            wanted = model(ids).logits.numpy()
        got = run(ids)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(("case", "form"), FORMS)
def test_a_prompt_of_any_length(case, form, tmp_path):
    path = tmp_path / "model.onnx"
    model, file = exported(case, form, path, 21)
    types = {each.type.name for each in file.graph.initializers.values()}
    assert (KEPT.get(form, "float") in types) and ("float16" in types) == (form == "f16")
    loaded = tl.onnx.load(path)
    check(model, lambda ids: loaded.run({"input_ids": ids})["logits"].numpy())


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize(("case", "form"), FORMS)
def test_onnx_runtime_agrees(case, form, opset, tmp_path):
    import onnxruntime

    import onnx

    path = str(tmp_path / "model.onnx")
    model, _ = exported(case, form, path, opset)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    check(model, lambda ids: session.run(None, {"input_ids": ids.numpy()})[0])


@pytest.mark.parametrize("options", [{"opset": 17}, {"opset": 21, "dequantize": True}])
def test_quantised_weights_as_floats(options, tmp_path):
    _, file = exported("llama", "q4_0", tmp_path / "model.onnx", **options)
    assert {each.type.name for each in file.graph.initializers.values()} == {"float"}


@pytest.mark.parametrize("dtype", ["q4_0", "q5_0", "q8_0", "q4_1", "q6_k", "q4_k"])
def test_blocks_are_exact(dtype, tmp_path):
    layer = nn.Linear(256, 8, bias=False)
    weight = ((tl.arange(8 * 256) * 0.7).sin() * 3).reshape(8, 256).to(dtype)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    tl.onnx.export(layer, tl.eye(256)[:4], tmp_path / "a.onnx", opset=21)
    kept = open_onnx(tmp_path / "a.onnx").graph.initializers["weight"].type.name
    assert kept == {"q4_0": "int4", "q5_0": "int8", "q8_0": "int8"}.get(dtype, "float")
    rows = [tl.onnx.load(tmp_path / "a.onnx")(tl.eye(256)[i : i + 4]) for i in range(0, 256, 4)]
    assert tl.cat(rows).t().equal(weight.to("f32"))


def test_external_data_and_progress(tmp_path):
    model = Golden("llama").load("hf")
    examples, dynamic = example_inputs(model)
    steps = []
    paths = tl.onnx.export(
        model, examples, tmp_path / "m.onnx", dynamic=dynamic, external_data=True,
        progress=lambda done, size: steps.append((done, size)),
    )  # fmt: skip
    assert [p.rpartition("/")[2] for p in paths] == ["m.onnx", "m.onnx.data"]
    assert steps[-1][0] == steps[-1][1] > (tmp_path / "m.onnx.data").stat().st_size
    loaded = tl.onnx.load(tmp_path / "m.onnx")
    check(model, lambda ids: loaded.run({"input_ids": ids})["logits"].numpy())
    weight = dict(loaded.named_parameters())["model.layers.0.mlp.gate_proj.weight"]
    assert weight.equal(model.model.layers[0].mlp.gate_proj.weight)
