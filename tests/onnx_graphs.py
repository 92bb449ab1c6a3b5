"""ONNX models of a few nodes, run here in every way and by a reference."""

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value


def model(nodes, inputs, outputs, *, opset=17, constants=None, domains=(), ir=10):
    """A model: nodes, and infos of inputs and outputs; `constants` by name."""
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*each) for each in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir)


def info(name, dtype="float32", shape=None):
    """A tensor's name and type; without a shape nothing is said of its lengths."""
    from onnx import TensorProto, helper

    code = (
        TensorProto.STRING if dtype == "str" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    )
    return helper.make_tensor_value_info(name, code, shape)


def ours(given, *calls, **tolerances):
    """Outputs of each call: step by step, then each three times by plans, then the first again."""
    raw = given.SerializeToString()
    feeds = [{name: as_value(x) for name, x in call.items()} for call in calls]
    steps = tl.onnx.load(raw, plans=False)
    first = [as_numpy([*steps.run(feed).values()]) for feed in feeds]
    plans = tl.onnx.load(raw)
    for feed, want in zip([*feeds, feeds[0]], [*first, first[0]], strict=True):
        for _ in range(3):
            same(as_numpy([*plans.run(feed).values()]), want, **tolerances)
    return first


def by_runtime(given, *calls):
    """Outputs of each call by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(given.SerializeToString(), options)
    return [session.run(None, call) for call in calls]


def by_reference(given, *calls):
    """Outputs of each call by the evaluator of the onnx package."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(given)
    return [evaluator.run(None, call) for call in calls]


def same(found, want, **tolerances):
    """Values of one kind, dtype and shape, with elements that are close."""
    if isinstance(want, list | tuple):
        assert isinstance(found, list | tuple) and len(found) == len(want)
        for f, w in zip(found, want, strict=True):
            same(f, w, **tolerances)
    elif isinstance(want, dict):
        assert found.keys() == want.keys()
        for key in want:
            same(found[key], want[key], **tolerances)
    elif want is None:
        assert found is None
    else:
        found, want = np.asarray(found), np.asarray(want)
        assert found.shape == want.shape, (found.shape, want.shape)
        if want.dtype.kind in "OUS":
            assert found.tolist() == want.tolist()
            return
        assert found.dtype == want.dtype, (found.dtype, want.dtype)
        np.testing.assert_allclose(found, want, **{"rtol": 1e-5, "atol": 1e-6, **tolerances})


def agree(given, *calls, reference=by_runtime, **tolerances):
    """Ours is what a reference computes."""
    same(ours(given, *calls), reference(given, *calls), **tolerances)


def ml_node(op, xs, outs=("float32",), opset=1, **attributes):
    """A model of one node; inputs by their arrays, outputs by their dtypes."""
    from onnx import helper

    names = [f"x{i}" for i in range(len(xs))]
    made = helper.make_node(
        op, names, [f"y{i}" for i in range(len(outs))], domain="ai.onnx.ml", **attributes
    )
    inputs = [
        info(n, "str" if x.dtype.kind in "OU" else x.dtype, [None] * x.ndim)
        for n, x in zip(names, xs, strict=True)
    ]
    outputs = [info(f"y{i}", dtype, None) for i, dtype in enumerate(outs)]
    given = model([made], inputs, outputs, domains=[("ai.onnx.ml", opset)])
    return given, {
        n: x.astype(object) if x.dtype.kind == "U" else x for n, x in zip(names, xs, strict=True)
    }


def check_ml(op, *xs, outs=("float32",), opset=1, tolerances=None, by=by_runtime, **attributes):
    given, call = ml_node(op, xs, outs, opset, **attributes)
    same(ours(given, call), by(given, call), **(tolerances or {}))
