"""Pools compared with onnxruntime, or onnx's reference evaluator, over all attributes."""

import numpy as np
import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.onnx.operators import find

WINDOWS = {
    "1-d": ((2, 3, 11), {"kernel_shape": [3]}),
    "2-d": ((2, 3, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 1]}),
    "3-d": ((1, 2, 5, 6, 7), {"kernel_shape": [2, 3, 2], "strides": [1, 2, 3]}),
    "padded": ((2, 3, 9, 8), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "asymmetric": ((2, 3, 9, 8), {"kernel_shape": [3, 4], "pads": [0, 2, 1, 1], "strides": [2, 2]}),
    "ceil": ((2, 3, 9, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil, padded": ((2, 3, 9, 8), {
        "kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    "ceil, asymmetric": ((2, 3, 9, 9), {
        "kernel_shape": [3, 3], "strides": [3, 2], "pads": [0, 1, 1, 1], "ceil_mode": 1}),
    "valid": ((2, 3, 9, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "VALID"}),
    "same upper": ((2, 3, 9, 8), {
        "kernel_shape": [4, 3], "strides": [2, 3], "auto_pad": "SAME_UPPER"}),
    "same lower": ((2, 3, 9, 8), {
        "kernel_shape": [4, 3], "strides": [2, 3], "auto_pad": "SAME_LOWER"}),
}  # fmt: skip
DILATED = {
    "dilated": ((2, 3, 9, 8), {"kernel_shape": [3, 2], "dilations": [2, 3]}),
    "dilated, padded": ((2, 3, 9, 8), {
        "kernel_shape": [3, 3], "dilations": [2, 2], "pads": [1, 2, 2, 1], "strides": [2, 1]}),
    "dilated, ceil": ((2, 3, 10, 8), {
        "kernel_shape": [3, 2], "dilations": [2, 3], "strides": [2, 3], "ceil_mode": 1}),
}  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("case", WINDOWS | DILATED)
def test_max_pool(case, order):
    shape, attributes = (WINDOWS | DILATED)[case]
    x = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape).astype("f4")
    check("MaxPool", [x], 12, (True, True), storage_order=order, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int8", "uint8"])
def test_max_pool_dtypes(dtype):
    x = values((2, 3, 7, 6), dtype)
    check("MaxPool", [x], 22, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 8, 10, 11, 12])
def test_max_pool_of_every_opset(opset):
    x = values((2, 3, 7, 6))
    check("MaxPool", [x], opset, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1])


@pytest.mark.needs_formats
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("case", WINDOWS | DILATED)
def test_average_pool(case, include):
    shape, attributes = (WINDOWS | DILATED)[case]
    check("AveragePool", [values(shape)], 19, count_include_pad=include, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 10, 11, 19, 22])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_average_pool_dtypes(dtype, opset):
    x = values((2, 3, 7, 6), dtype)
    check("AveragePool", [x], opset, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1],
          runtime=dtype == "float32")  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("case", WINDOWS)
def test_lp_pool(case, p):
    shape, attributes = WINDOWS[case]
    check("LpPool", [values(shape)], 18, p=p, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 7, 5), (2, 3, 4, 5, 6)], ids=str)
@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pools(op, shape):
    check(op, [values(shape)], 11)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_of_halves(op, dtype):
    check(op, [values((2, 3, 7, 5), dtype)], 22)


@pytest.mark.needs_formats
@pytest.mark.parametrize("shape", [None, (2, 3, 8, 7)], ids=str)
def test_max_unpool(shape):
    x = values((2, 3, 3, 3))
    places = np.arange(9).reshape(3, 3)
    at = places // 3 * 2 * 6 + places % 3 * 2 + np.arange(6).reshape(2, 3, 1, 1) * 36
    given = None if shape is None else np.array(shape)
    check("MaxUnpool", [x, at.astype("i8"), given], 11, runtime=False, kernel_shape=[2, 2],
          strides=[2, 2])  # fmt: skip


def test_unpooling_puts_maxima_back():
    x = tl.tensor([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 1.0, 7.0]]]])
    out, at = find("", "MaxPool", 12).function(
        x, kernel_shape=[2, 2], strides=[2, 2], wanted=(True, True)
    )
    back = find("", "MaxUnpool", 11).function(out, at, kernel_shape=[2, 2], strides=[2, 2])
    assert back.tolist() == [[[[0.0, 5.0, 0.0, 0.0], [0.0, 0.0, 0.0, 7.0]]]]


BAD = {
    "kernel": ("MaxPool", {"kernel_shape": [2]}, "2 kernel sizes"),
    "pads": ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1]}, "4 pads"),
    "auto_pad": ("LpPool", {"kernel_shape": [2, 2], "auto_pad": "UPPER"}, "auto_pad of"),
    "large": ("MaxPool", {"kernel_shape": [9, 2]}, "as large as windows"),
    "strides": ("AveragePool", {"kernel_shape": [2, 2], "strides": [1, 0]}, "at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_attributes(case):
    op, attributes, text = BAD[case]
    with pytest.raises(TallowError, match=text):
        find("", op, 19).function(tl.ones(1, 2, 5, 5), **attributes)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_planes_are_needed(op):
    with pytest.raises(TallowError, match="at least 3 axes"):
        find("", op, 19).function(tl.ones(2, 3))
