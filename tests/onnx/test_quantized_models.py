"""Models quantised by onnxruntime's tools: as it computes them, and in integers."""

import numpy as np
import pytest

import tallow as tl
from one_operator import has_vnni, ours

pytestmark = pytest.mark.needs_formats
rng = np.random.default_rng(11)


def f(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype("f4")


def graph(nodes, x, weights):
    """A model of nodes on one input of shape x."""
    import onnx
    from onnx import TensorProto, helper

    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def perceptron():
    from onnx.helper import make_node

    nodes = [
        make_node("MatMul", ["x", "w1"], ["a"]), make_node("Add", ["a", "b1"], ["b"]),
        make_node("Relu", ["b"], ["c"]), make_node("MatMul", ["c", "w2"], ["d"]),
        make_node("Add", ["b2", "d"], ["y"]),
    ]  # fmt: skip
    weights = {"w1": f(24, 40, scale=0.2), "b1": f(40), "w2": f(40, 10, scale=0.2), "b2": f(10)}
    return graph(nodes, [4, 24], weights)


def network():
    from onnx.helper import make_node

    nodes = [
        make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1] * 4), make_node("Relu", ["a"], ["b"]),
        make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Conv", ["c", "w2", "b2"], ["d"], group=4, pads=[1] * 4),
        make_node("Add", ["c", "d"], ["e"]), make_node("GlobalAveragePool", ["e"], ["g"]),
        make_node("Flatten", ["g"], ["h"]), make_node("Gemm", ["h", "w3", "b3"], ["y"], transB=1),
    ]  # fmt: skip
    weights = {
        "w1": f(8, 3, 3, 3, scale=0.3), "b1": f(8), "w2": f(8, 2, 3, 3, scale=0.3), "b2": f(8),
        "w3": f(5, 8, scale=0.4), "b3": f(5),
    }  # fmt: skip
    return graph(nodes, [2, 3, 12, 10], weights)


def statically(model, folder, **how):
    """The model with conversions to and from 8 bits around its operators."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    import onnx

    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": f(*shape)} for _ in range(4)]

        def get_next(self):
            return self.left.pop() if self.left else None

    onnx.save(model, folder / "float.onnx")
    how = {"quant_format": QuantFormat.QDQ} | how
    quantize_static(folder / "float.onnx", folder / "int8.onnx", Reader(), **how)
    return onnx.load(folder / "int8.onnx")


def dynamically(model, folder, **how):
    from onnxruntime.quantization import quantize_dynamic

    import onnx

    onnx.save(model, folder / "float.onnx")
    quantize_dynamic(folder / "float.onnx", folder / "int8.onnx", **how)
    return onnx.load(folder / "int8.onnx")


def operators(model, x):
    """The operators that are run for a model."""
    loaded = tl.onnx.load(model.SerializeToString())
    loaded.run({"x": tl.from_numpy(x)})
    (engine,) = loaded._engines.values()
    return [node.op_type for node in engine._runner.program.graph.nodes]


def reference(model, x):
    """What onnxruntime computes node by node."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


@pytest.mark.parametrize("channels", [False, True])
def test_dynamically_quantised_products_are_of_integers(tmp_path, channels):
    how = {"per_channel": channels, "reduce_range": not has_vnni()}
    model = dynamically(perceptron(), tmp_path, **how)
    x = f(4, 24)
    found = operators(model, x)
    assert found.count("MatMulIntegerToFloat") == 2
    assert not {"MatMulInteger", "Cast", "Mul", "Add"} & {*found}
    np.testing.assert_allclose(ours(model, {"x": x})[0], reference(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
def test_statically_quantised_networks_are_of_integers(tmp_path, channels, kind):
    from onnxruntime.quantization import QuantType

    how = {"per_channel": channels, "activation_type": getattr(QuantType, kind)}
    model = statically(network(), tmp_path, **how)
    x = f(2, 3, 12, 10)
    found = operators(model, x)
    assert found.count("QLinearConv") == 2
    assert "QGemm" in found
    assert not {"Conv", "Gemm", "Relu"} & {*found}
    pool = found.index("MaxPool")
    assert found[pool - 1] == "QLinearConv", "a pool of bytes"
    wanted = reference(model, x)
    step = max(np.abs(wanted).max() / 60, 1e-3)  # a few quanta of the last result
    np.testing.assert_allclose(ours(model, {"x": x})[0], wanted, atol=step, rtol=0)


def test_statically_quantised_products_are_of_integers(tmp_path):
    model = statically(perceptron(), tmp_path)
    x = f(4, 24)
    found = operators(model, x)
    assert not {"MatMul", "Linear"} & {*found}, found
    wanted = reference(model, x)
    step = max(np.abs(wanted).max() / 60, 1e-3)
    np.testing.assert_allclose(ours(model, {"x": x})[0], wanted, atol=step, rtol=0)


def test_operators_on_bytes_are_run_as_they_are(tmp_path):
    from onnxruntime.quantization import QuantFormat

    model = statically(network(), tmp_path, quant_format=QuantFormat.QOperator)
    x = f(2, 3, 12, 10)
    wanted = reference(model, x)
    step = max(np.abs(wanted).max() / 60, 1e-3)
    np.testing.assert_allclose(ours(model, {"x": x})[0], wanted, atol=step, rtol=0)


def test_weights_kept_as_bytes_become_floats_once():
    from onnx.helper import make_node

    import onnx

    nodes = [
        make_node("Cast", ["w"], ["f"], to=onnx.TensorProto.FLOAT),
        make_node("Mul", ["f", "s"], ["g"]), make_node("MatMul", ["x", "g"], ["y"]),
    ]  # fmt: skip
    weight = rng.integers(-128, 128, (1200, 1000)).astype("i1")
    model = graph(nodes, [3, 1200], {"w": weight, "s": np.asarray(0.01, "f4")})
    x = f(3, 1200)
    assert operators(model, x) == ["Linear"]
    np.testing.assert_allclose(ours(model, {"x": x})[0], reference(model, x), rtol=1e-4, atol=1e-3)
