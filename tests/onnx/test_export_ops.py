"""Each row of the exporter beside ONNX Runtime, or our own reader: values, dtypes, sizes."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow import nn
from tallow.onnx.exporter.tracing import named_results

from . import export_cases, export_layer_cases
from .export_cases import Of

CASES = export_cases.CASES | export_layer_cases.CASES


@pytest.fixture(params=[17, 21])
def opset(request):
    return request.param


def exported(name, path, opset):
    function, *examples = CASES[name]
    module = function if isinstance(function, nn.Module) else Of(function)
    names = [f"x{k}" for k in range(len(examples))]
    dynamic = {n: {0: "batch"} for n in names}
    tl.onnx.export(module, examples, path, opset=opset, input_names=names, dynamic=dynamic)
    for count in (2, 5):
        inputs = [x.index_select(0, tl.arange(count) % len(x)) for x in examples]
        with tl.inference_mode():
            wanted = module(*inputs)
        yield dict(zip(names, inputs, strict=True)), named_results(wanted)


def same(got, want, name):
    want = want.numpy()
    assert (got.shape, got.dtype) == (want.shape, want.dtype), name
    np.testing.assert_allclose(
        got.astype("f8"), want.astype("f8"), rtol=1e-4, atol=2e-5, err_msg=name
    )


@pytest.mark.needs_formats
@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_agrees(name, opset, tmp_path):
    import onnxruntime

    import onnx

    path, session = str(tmp_path / "model.onnx"), None
    for inputs, wanted in exported(name, path, opset):
        if session is None:
            onnx.checker.check_model(path, full_check=True)
            session = onnxruntime.InferenceSession(path)
        known = {each.name for each in session.get_inputs()}
        found = session.run(None, {n: x.numpy() for n, x in inputs.items() if n in known})
        for (output, want), got in zip(wanted, found, strict=True):
            same(np.asarray(got), want, output)


@pytest.mark.parametrize("name", CASES)
def test_it_loads_again(name, tmp_path):
    path, model = str(tmp_path / "model.onnx"), None
    for inputs, wanted in exported(name, path, 17):
        model = model or tl.onnx.load(path)
        found = model.run(inputs)
        for output, want in wanted:
            same(found[output].numpy(), want, output)
