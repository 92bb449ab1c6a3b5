"""Quantisation and 8-bit products, compared with onnxruntime and onnx's reference evaluator."""

import numpy as np
import pytest

import one_operator as one

pytestmark = pytest.mark.needs_formats
rng = np.random.default_rng(5)


def floats(*shape, scale=1.0, kind="f4"):
    return (rng.standard_normal(shape) * scale).astype(kind)


def bytes_of(kind, *shape):
    return one.eight_bits(rng, kind, *shape)


def scales(*shape, kind="f4"):
    return rng.uniform(0.01, 0.1, shape).astype(kind)


X = floats(2, 3, 8, scale=4)


@pytest.mark.parametrize("opset", [10, 11, 13, 17, 19, 21, 23])
@pytest.mark.parametrize("kind", ["u1", "i1"])
def test_quantize_and_back_with_one_scale(opset, kind):
    scale, zero = np.float32(0.037), np.asarray(3, kind)
    one.compare("QuantizeLinear", [X, np.asarray(scale), zero], opset=opset)
    one.compare("QuantizeLinear", [X, np.asarray(scale)], opset=opset)
    x = bytes_of(kind, 3, 5)
    one.compare("DequantizeLinear", [x, np.asarray(scale), zero], opset=opset)
    one.compare("DequantizeLinear", [x, np.asarray(scale)], opset=opset)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2"])
def test_a_scale_an_index(kind, axis):
    n = X.shape[axis]
    zero = bytes_of(kind, n)
    one.compare("QuantizeLinear", [X, scales(n), zero], {"axis": axis})
    one.compare("DequantizeLinear", [bytes_of(kind, *X.shape), scales(n), zero], {"axis": axis})


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2"])
def test_a_scale_a_block(kind, axis):
    shape = [2, 3, 8]
    shape[axis] = -(-shape[axis] // 2)
    how = {"axis": axis, "block_size": 2}
    zero = bytes_of(kind, *shape)
    one.compare("QuantizeLinear", [X, scales(*shape), zero], how)
    one.compare("DequantizeLinear", [bytes_of(kind, *X.shape), scales(*shape), zero], how)


@pytest.mark.parametrize("kind", ["int4", "uint4", "int2", "uint2"])
@pytest.mark.parametrize("axis", [None, 1])
def test_integers_below_a_byte(kind, axis):
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, kind))
    n = () if axis is None else (3,)
    zero = rng.integers(0, 2, n).astype("i1").astype(dtype)
    how = {} if axis is None else {"axis": axis}
    x = floats(2, 3, 4, scale=0.2)
    opset = 25 if "2" in kind else 21
    one.compare("QuantizeLinear", [x, scales(*n), zero], how, by=one.evaluator, opset=opset)
    whole = rng.integers(0, 2, (2, 3, 4)).astype("i1").astype(dtype)
    one.compare("DequantizeLinear", [whole, scales(*n), zero], how, by=one.evaluator, opset=opset)


@pytest.mark.parametrize("code", ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"])
@pytest.mark.parametrize("saturate", [0, 1])
def test_small_floats(code, saturate):
    import onnx

    x = np.concatenate([floats(20, scale=50), np.array([1e6, -1e6, 0, 460, 470], "f4")])
    x[np.abs(x) < 0.02] = 0
    how = {"output_dtype": getattr(onnx.TensorProto, code), "saturate": saturate}
    one.compare("QuantizeLinear", [x, np.asarray(1, "f4")], how, by=one.evaluator)


@pytest.mark.parametrize("kind", ["f4", "f2"])
def test_scales_in_half_precision(kind):
    x, scale = floats(4, 6, kind=kind), scales(kind=kind)
    one.compare("QuantizeLinear", [x, np.asarray(scale), np.uint8(7) + np.zeros((), "u1")])
    whole = bytes_of("u1", 4, 6)
    one.compare("DequantizeLinear", [whole, np.asarray(scale), np.asarray(9, "u1")])


def test_int32_is_taken_back_without_a_zero_point():
    x = rng.integers(-10000, 10000, (3, 4), "i4")
    one.compare("DequantizeLinear", [x, np.asarray(scales())])
    one.compare("DequantizeLinear", [x, scales(4)], {"axis": 1})


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_dynamic_quantize(shift):
    x = floats(5, 7) + np.float32(shift)
    one.compare("DynamicQuantizeLinear", [x], outputs=3, rtol=1e-6, opset=11)
    one.compare("DynamicQuantizeLinear", [np.zeros((2, 3), "f4")], outputs=3, opset=11)


KINDS = [("u1", "u1"), ("u1", "i1"), ("i1", "i1")]


@pytest.mark.parametrize(("a", "b"), KINDS)
@pytest.mark.parametrize("zeros", ["none", "one", "each"])
def test_matmul_integer(a, b, zeros):
    if zeros == "none":
        points = []
    else:
        n = {"one": (), "each": (7,)}[zeros]
        points = [np.asarray(bytes_of(a, *())), bytes_of(b, *n) + np.zeros(n, b)]
    one.compare("MatMulInteger", [bytes_of(a, 5, 33), bytes_of(b, 33, 7), *points], opset=10)
    if zeros != "each":
        x, y = bytes_of(a, 2, 3, 4, 6), bytes_of(b, 2, 3, 6, 7)
        one.compare("MatMulInteger", [x, y, *points], opset=10)


@pytest.mark.parametrize(("a", "b"), KINDS)
@pytest.mark.parametrize("each", [False, True])
def test_qlinear_matmul(a, b, each):
    n = (9,) if each else ()
    zeros = [np.asarray(bytes_of(a)), np.asarray(bytes_of(b, *n))]
    inputs = [bytes_of(a, 4, 20), np.asarray(scales()), zeros[0],
              bytes_of(b, 20, 9), np.asarray(scales(*n)), zeros[1],
              np.asarray(np.float32(1.1)), np.asarray(bytes_of(a))]  # fmt: skip
    one.compare("QLinearMatMul", inputs, opset=10)


CONVOLUTIONS = [
    ((1, 3, 8, 9), (4, 3, 3, 3), {}),
    ((2, 4, 8, 9), (6, 2, 3, 2), {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ((1, 4, 8, 9), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1], "dilations": [2, 1]}),
    ((1, 3, 8, 9), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((1, 3, 8, 9), (4, 3, 4, 4), {"auto_pad": "SAME_LOWER"}),
    ((1, 3, 8, 9), (4, 3, 1, 1), {"auto_pad": "VALID"}),
    ((1, 3, 12), (4, 3, 5), {"pads": [2, 2]}),
]


@pytest.mark.parametrize(("a", "b"), [("u1", "u1"), ("u1", "i1"), ("i1", "i1")])
@pytest.mark.parametrize(("shape", "weight", "how"), CONVOLUTIONS)
def test_qlinear_conv(a, b, shape, weight, how):
    r = weight[0]
    for n in ((), (r,)):
        zero = np.zeros(n, b) if n or a == "i1" else np.asarray(bytes_of(b))
        inputs = [bytes_of(a, *shape), np.asarray(scales()), np.asarray(bytes_of(a)),
                  bytes_of(b, *weight), np.asarray(scales(*n)), zero,
                  np.asarray(np.float32(0.9)), np.asarray(bytes_of(a)),
                  rng.integers(-5000, 5000, r, "i4")]  # fmt: skip
        one.compare("QLinearConv", inputs, how, opset=10, constant=(3, 4, 5))


@pytest.mark.parametrize(("shape", "weight", "how"), CONVOLUTIONS)
def test_conv_integer(shape, weight, how):
    inputs = [bytes_of("u1", *shape), bytes_of("u1", *weight), np.asarray(bytes_of("u1"))]
    one.compare("ConvInteger", [*inputs, np.asarray(bytes_of("u1"))], how, opset=10)
    one.compare("ConvInteger", inputs[:2], how, opset=10)


BAD = [
    ("QuantizeLinear", [X, scales(5)], {"axis": 1}, "3 scales"),
    ("QuantizeLinear", [X, scales(3)], {"axis": 7}, "an axis of 3 axes"),
    ("DequantizeLinear", [bytes_of("u1", 2, 6), scales(2, 2)], {"block_size": 2}, "blocks of 2"),
    ("ConvInteger", [bytes_of("u1", 1, 3, 4), bytes_of("u1", 2, 2, 3)], {}, "channels"),
    ("MatMulInteger", [bytes_of("u1", 2, 3), bytes_of("u1", 4, 3)], {}, "matrices"),
]


@pytest.mark.parametrize(("op", "inputs", "how", "text"), BAD)
def test_what_does_not_fit_is_refused(op, inputs, how, text):
    from tallow.errors import TallowError

    made = one.model(op, inputs, how)
    with pytest.raises(TallowError, match=text):
        one.ours(made, {f"x{i}": x for i, x in enumerate(inputs)})
