"""Graphs of one node, run here and by the onnx package's reference or by onnxruntime."""

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value


def model_of(op_type, inputs, opset, outputs=1, domain="", **attributes):
    """A model of one node whose inputs have the types of these arrays; None: left out."""
    from onnx import TypeProto, ValueInfoProto, helper

    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, results, domain=domain, **attributes)
    infos = []
    for name, x in zip(names, inputs, strict=True):
        if x is not None:
            code = helper.np_dtype_to_tensor_dtype(x.dtype)
            infos.append(helper.make_tensor_value_info(name, code, x.shape))
    graph = helper.make_graph(
        [node], "graph", infos, [ValueInfoProto(name=y, type=TypeProto()) for y in results]
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def run_here(op_type, inputs, opset, outputs=1, domain="", **attributes):
    """Results as numpy arrays: step by step, captured and replayed, which must be equal."""
    raw = model_of(op_type, inputs, opset, outputs, domain, **attributes).SerializeToString()
    model = tl.onnx.load(raw)
    given = [as_value(x) for x in inputs if x is not None]
    feeds = dict(zip([each.name for each in model.inputs], given, strict=True))
    first, *others = [[as_numpy(v) for v in model.run(feeds).values()] for _ in range(3)]
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(comparable(a), comparable(b))
    return first


def comparable(x):
    """An array that numpy can compare: floats of ml_dtypes, which it thinks opaque, in f32."""
    return x if x.dtype.isbuiltin == 1 else x.astype("float32")


def run_reference(op_type, inputs, opset, outputs=1, **attributes):
    """The results of onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    model = model_of(op_type, inputs, opset, outputs, **attributes)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, feeds)


def same(got, want, rtol=1e-6, atol=1e-7):
    """Equal dtypes, shapes and, within a tolerance that fits the dtype, elements."""
    want = np.asarray(want)
    assert got.dtype == want.dtype or want.dtype.kind in "UO", (got.dtype, want.dtype)
    assert got.shape == want.shape
    if want.dtype.kind in "UO":
        assert [*got.reshape(-1)] == [*want.reshape(-1)]
        return
    if want.dtype.isbuiltin != 1:
        got, want = got.astype("float32"), want.astype("float32")
        rtol, atol = max(rtol, 1e-2), max(atol, 1e-2)
    elif want.dtype == np.float16:
        rtol, atol = max(rtol, 2e-3), max(atol, 2e-3)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def check(op_type, inputs, opset, outputs=1, rtol=1e-6, atol=1e-7, **attributes):
    """Results here equal those of the reference."""
    got = run_here(op_type, inputs, opset, outputs, **attributes)
    want = run_reference(op_type, inputs, opset, outputs, **attributes)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        same(g, w, rtol, atol)
