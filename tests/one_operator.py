"""Models of one node, run by Tallow and by onnxruntime or onnx's reference evaluator."""

from pathlib import Path

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value


def eight_bits(rng, kind, *shape):
    """Bytes of all values; signed ones of 7 bits where ONNX Runtime would saturate.

    Without VNNI it sums two products of unsigned and signed bytes in 16 bits, which more overflow
    (its documentation of quantisation calls it U8S8's `reduce_range`); Tallow's sums are exact.
    """
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    if kind == "i1" and not has_vnni():
        low, high = -64, 63
    return np.asarray(rng.integers(low, high + 1, shape, kind))


def has_vnni():
    """Whether ONNX Runtime's sums of unsigned and signed bytes are exact on this CPU."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def model(op_type, inputs, attributes, *, domain="", opset=21, outputs=1, constant=()):
    """A model of one node; inputs are arrays, or None; `constant` are places of initialisers."""
    import onnx
    from onnx import helper

    names, infos, stored = [], [], []
    for i, x in enumerate(inputs):
        names.append("" if x is None else f"x{i}")
        if x is None:
            continue
        kind = helper.np_dtype_to_tensor_dtype(x.dtype)
        if i in constant:
            stored.append(onnx.numpy_helper.from_array(x, f"x{i}"))
        else:
            infos.append(helper.make_tensor_value_info(f"x{i}", kind, x.shape))
    made = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, made, domain=domain, **attributes)
    known = [onnx.ValueInfoProto(name=name) for name in made]
    graph = helper.make_graph([node], "one", infos, known, stored)
    opsets = [helper.make_opsetid("", opset if not domain else 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, opset if opset < 3 else 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def ours(made, feeds):
    """Results step by step, of a new plan, and of its replay, which must be the same."""
    loaded = tl.onnx.load(made.SerializeToString())
    feeds = {name: as_value(x) for name, x in feeds.items()}
    runs = [[as_numpy(y) for y in loaded.run(feeds).values()] for _ in range(3)]
    for again in runs[1:]:
        for a, b in zip(runs[0], again, strict=True):
            np.testing.assert_allclose(
                np.asarray(b, "f8"), np.asarray(a, "f8"), rtol=1e-5, atol=1e-6
            )
    return runs[0]


def runtime(made, feeds, threads=1):
    """onnxruntime's results, without its optimisations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = ort.InferenceSession(made.SerializeToString(), options)
    return session.run(None, feeds)


def evaluator(made, feeds):
    """The results of onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(made).run(None, feeds)


def compare(op_type, inputs, attributes=None, *, by=runtime, atol=0.0, rtol=0.0, outputs=1, **how):
    """Equal dtypes, shapes and values of all outputs."""
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    made = model(op_type, inputs, attributes or {}, outputs=outputs, **how)
    constant = how.get("constant", ())
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constant}
    wanted, got = by(made, feeds), ours(made, feeds)
    assert len(wanted) == len(got)
    for w, g in zip(wanted, got, strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape)
        np.testing.assert_allclose(
            np.asarray(g, "f8"), np.asarray(w, "f8"), rtol=rtol, atol=atol, equal_nan=True
        )
