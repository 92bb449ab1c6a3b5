"""Conv, ConvTranspose and their kin, compared with onnxruntime over all attributes."""

import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.onnx.operators import find

CONVS = {
    "1-d": ((2, 4, 9), (6, 4, 3), {}),
    "2-d, symmetric": ((2, 4, 9, 8), (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "2-d, 1 x 1": ((2, 4, 9, 8), (6, 4, 1, 1), {"strides": [2, 2]}),
    "2-d, asymmetric": ((2, 4, 9, 8), (6, 4, 3, 2), {"pads": [0, 1, 2, 0], "strides": [2, 1]}),
    "3-d": ((1, 2, 5, 6, 7), (4, 2, 2, 3, 1), {"pads": [0, 1, 0, 1, 0, 2], "strides": [1, 2, 2]}),
    "groups": ((2, 4, 9, 8), (6, 2, 3, 3), {"group": 2}),
    "depthwise": ((2, 4, 9, 8), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "dilated": ((2, 4, 11, 9), (6, 4, 3, 3), {"dilations": [2, 3], "pads": [1, 2, 1, 2]}),
    "kernel_shape": ((2, 4, 9, 8), (6, 4, 3, 3), {"kernel_shape": [3, 3]}),
    "valid": ((2, 4, 9, 8), (6, 4, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    "same upper": ((2, 4, 9, 8), (6, 4, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "same lower": ((2, 4, 9, 8), (6, 4, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "same upper, 1-d": ((2, 4, 9), (6, 4, 4), {"auto_pad": "SAME_UPPER"}),
}  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("case", CONVS)
def test_conv(case, bias):
    shape, kernel, attributes = CONVS[case]
    b = values(kernel[:1], seed=3) if bias else None
    check("Conv", [values(shape), values(kernel, seed=1), b], 11, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_conv_dtypes(dtype):
    given = values((1, 3, 6, 6), dtype), values((4, 3, 3, 3), dtype, 1), values((4,), dtype, 2)
    check("Conv", [*given], 22, runtime=dtype != "float64", pads=[1, 0, 0, 1])


TRANSPOSED = {
    "1-d": ((2, 4, 9), (4, 3, 3), {}),
    "2-d": ((2, 4, 5, 6), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "3-d": ((1, 2, 3, 4, 5), (2, 3, 2, 3, 1), {"strides": [2, 1, 2]}),
    "asymmetric": ((2, 4, 5, 6), (4, 3, 3, 4), {"strides": [2, 3], "pads": [0, 2, 1, 0]}),
    "groups": ((2, 4, 5, 6), (4, 3, 3, 3), {"group": 2, "strides": [2, 1]}),
    "output_padding": ((2, 4, 5, 6), (4, 3, 3, 3), {"strides": [3, 2], "output_padding": [2, 1]}),
    "dilated": ((2, 4, 5, 6), (4, 3, 3, 2), {"dilations": [2, 3], "pads": [1, 0, 2, 1]}),
    "output_shape": ((2, 4, 5, 6), (4, 3, 3, 3), {"strides": [3, 2], "output_shape": [14, 12]}),
    "output_shape, upper": ((2, 4, 5, 6), (4, 3, 4, 3), {
        "strides": [3, 2], "output_shape": [13, 12], "auto_pad": "SAME_UPPER"}),
    "output_shape and padding": ((2, 4, 5, 6), (4, 3, 3, 3), {
        "strides": [3, 2], "output_shape": [16, 12], "output_padding": [1, 1]}),
    "larger output_shape": ((2, 4, 5, 6), (4, 3, 3, 3), {
        "strides": [3, 2], "output_shape": [17, 14]}),
    "same upper": ((2, 4, 5, 6), (4, 3, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [3, 2]}),
    "same lower": ((2, 4, 5, 6), (4, 3, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [3, 2]}),
    "valid": ((2, 4, 5, 6), (4, 3, 4, 3), {"auto_pad": "VALID", "strides": [3, 2]}),
}  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_conv_transpose(case, bias):
    shape, kernel, attributes = TRANSPOSED[case]
    b = values((kernel[1] * attributes.get("group", 1),), seed=3) if bias else None
    check("ConvTranspose", [values(shape), values(kernel, seed=1), b], 11, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_conv_transpose_dtypes(dtype):
    given = values((1, 3, 6, 6), dtype), values((3, 2, 3, 3), dtype, 1), values((2,), dtype, 2)
    check("ConvTranspose", [*given], 22, strides=[2, 2], output_padding=[1, 0])


BAD = {
    "auto_pad": ("Conv", {"auto_pad": "SAME"}, "auto_pad"),
    "pads": ("Conv", {"pads": [1, 1, 1]}, "4 pads"),
    "negative pads": ("Conv", {"pads": [1, -1, 1, 1]}, "at least 0"),
    "strides": ("Conv", {"strides": [0, 1]}, "strides of at least 1"),
    "kernel_shape": ("Conv", {"kernel_shape": [2, 2]}, "kernel_shape as of W"),
    "group": ("Conv", {"group": 3}, "groups"),
    "no groups": ("Conv", {"group": 0}, "groups"),
    "small": ("Conv", {"dilations": [9, 9]}, "as large as windows"),
    "transposed": ("ConvTranspose", {"pads": [9, 9, 9, 9]}, "at least one element"),
    "output_padding": ("ConvTranspose", {"output_padding": [-1, 0]}, "output_padding"),
    "output_shape": ("ConvTranspose", {"output_shape": [4]}, "an output_shape of 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_attributes(case):
    op, attributes, text = BAD[case]
    with pytest.raises(TallowError, match=text):
        find("", op, 11).function(tl.ones(1, 4, 5, 5), tl.ones(4, 4, 3, 3), **attributes)
