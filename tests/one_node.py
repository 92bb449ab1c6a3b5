"""A model of one node: run here step by step, captured and replayed, and by onnx's evaluator."""

import numpy as np

import tallow as tl
from tallow.onnx.values import as_numpy, as_value


def model(op_type, inputs, attributes=None, opset=21, outputs=1, domain=""):
    """The node on these inputs, by name; None is an input that is left out."""
    from onnx import TensorProto, helper

    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    made = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, made, domain=domain, **(attributes or {}))
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(names, inputs, strict=True)
        if name
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in made]
    graph = helper.make_graph([node], "one", infos, results)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)])
    return found, {name: x for name, x in zip(names, inputs, strict=True) if name}


def run(op_type, inputs, attributes=None, opset=21, outputs=1, fixed=()):
    """The outputs here; all three ways must agree. Inputs at `fixed` places are initializers."""
    from onnx import numpy_helper

    proto, feeds = model(op_type, inputs, attributes, opset, outputs)
    for place in fixed:
        name = f"x{place}"
        proto.graph.initializer.append(numpy_helper.from_array(feeds.pop(name), name))
    made = tl.onnx.load(proto.SerializeToString())
    given = {name: as_value(x) for name, x in feeds.items()}
    found = [[as_numpy(y) for y in made.run(given).values()] for _ in range(3)]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            equal(a, b, 0)
    return found[0]


def expected(op_type, inputs, attributes=None, opset=21, outputs=1):
    """The outputs of onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    proto, feeds = model(op_type, inputs, attributes, opset, outputs)
    return ReferenceEvaluator(proto).run(None, feeds)


def equal(got, want, tolerance=1e-5):
    """Equal dtypes, shapes and elements."""
    want = np.asarray(want)
    if want.dtype.kind in "OUST":
        assert got.shape == want.shape, (got.shape, want.shape)
        assert [*map(str, got.reshape(-1))] == [*map(str, want.reshape(-1))]
        return
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if got.dtype.kind not in "biufc":
        got, want = got.astype("float32"), want.astype("float32")
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def check(op_type, inputs, attributes=None, opset=21, outputs=1, fixed=(), tolerance=1e-5):
    """Ours is the reference's."""
    want = expected(op_type, inputs, attributes, opset, outputs)
    for got, each in zip(
        run(op_type, inputs, attributes, opset, outputs, fixed), want, strict=True
    ):
        equal(got, each, tolerance)
