"""Single nodes compared with onnxruntime or onnx's reference evaluator."""

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value

HALVES = ("float16", "bfloat16")


def values(shape, dtype="float32", seed=0, scale=1.0):
    """Random numbers of a dtype, the same at each call."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype if dtype != "bfloat16" else "float32").kind in "iu":
        return rng.integers(0 if dtype[0] == "u" else -9, 10, shape).astype(dtype)
    return np.asarray(rng.standard_normal(shape) * scale).astype(_numpy_type(dtype))


def _numpy_type(dtype):
    if dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return dtype


def model(op, inputs, outputs, opset, domain="", **attributes):
    """The bytes of a model with one node; inputs that are None are left out."""
    import onnx
    from onnx import helper

    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    results = [f"y{i}" if kept else "" for i, kept in enumerate(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(x.dtype), [None] * x.ndim
        )
        for name, x in zip(names, inputs, strict=True)
        if x is not None
    ]
    empty = [helper.make_empty_tensor_value_info(name) for name in results if name]
    graph = helper.make_graph([node], "g", infos, empty)
    opsets = [helper.make_opsetid("", opset if not domain else 23)]
    opsets += [helper.make_opsetid(domain, opset)] if domain else []
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(made).SerializeToString()


def ours(raw, feeds):
    """Our outputs: step by step, and from the first and second run of a plan, all equal."""
    loaded = tl.onnx.load(raw)
    given = {name: as_value(x) for name, x in feeds.items()}
    runs = [[as_numpy(y) for y in loaded.run(given).values()] for _ in range(3)]
    for again in runs[1:]:
        for got, want in zip(again, runs[0], strict=True):
            np.testing.assert_allclose(_plain(got), _plain(want), rtol=1e-5, atol=1e-6)
    return runs[2]


def _plain(x):
    return x if x.dtype.kind in "biufc" and x.dtype.itemsize > 2 else x.astype("float32")


def theirs(raw, feeds, runtime):
    """The outputs of onnxruntime, or of onnx's reference evaluator."""
    if runtime:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)
    from onnx.reference import ReferenceEvaluator

    import onnx

    return ReferenceEvaluator(onnx.load_from_string(raw)).run(None, feeds)


def check(op, inputs, opset, outputs=(True,), *, runtime=True, tolerance=None, **attributes):
    """A node's outputs equal the oracle's; half types are compared with its results in f32."""
    raw = model(op, inputs, outputs, opset, **attributes)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    halves = [x.dtype.name for x in feeds.values() if x.dtype.name in HALVES]
    asked = raw
    wide = feeds
    if halves:
        wide = {n: x.astype("float32") if x.dtype.name in HALVES else x for n, x in feeds.items()}
        given = [wide.get(f"x{i}") for i in range(len(inputs))]
        asked = model(op, given, outputs, opset, **attributes)
    want = theirs(asked, wide, runtime)
    got = ours(raw, feeds)
    assert len(got) == len(want)
    if tolerance is None:
        tolerance = 2e-2 if "bfloat16" in halves else 3e-3 if halves else 2e-5
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        if not halves:
            assert g.dtype == w.dtype
        elif w.dtype == np.float32:
            assert g.dtype.name in (*HALVES, "float32")
        np.testing.assert_allclose(_plain(g), w, rtol=tolerance, atol=tolerance)
    return got
