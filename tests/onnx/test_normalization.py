"""Normalisations and softmax compared with onnxruntime or onnx's reference evaluator."""

import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.onnx.operators import find

SHAPES = [(4, 3), (2, 3, 7), (2, 3, 5, 6), (2, 3, 4, 2, 3)]


def channels(n=3, dtype="float32"):
    """Scale, bias, mean and variance."""
    return [values((n,), dtype, i) for i in range(1, 4)] + [abs(values((n,), dtype, 4)) + 0.5]


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 8, 9, 13, 14, 15])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_normalization(shape, opset):
    check("BatchNormalization", [values(shape), *channels()], opset, epsilon=1e-3)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_batch_normalization_dtypes(dtype):
    given = [values((2, 3, 5, 6), dtype), *(c.astype(values(1, dtype).dtype) for c in channels())]
    check("BatchNormalization", given, 15, runtime=dtype != "float64")


@pytest.mark.needs_formats
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_normalization_while_training(shape):
    given = [values(shape), *channels()]
    check("BatchNormalization", given, 15, (True,) * 3, runtime=False, training_mode=1,
          momentum=0.7)  # fmt: skip


def test_old_forms_of_batch_normalization():
    x = tl.tensor(values((4, 3, 2)))
    given = [tl.tensor(c) for c in channels()]
    new = find("", "BatchNormalization", 15).function(x, *given, training_mode=1)
    old = find("", "BatchNormalization", 9).function(x, *given, wanted=(True,) * 5)
    assert len(old) == 5
    for a, b in zip(new, old, strict=False):
        assert tl.allclose(a, b)
    assert tl.allclose(old[3], x.mean((0, 2)))
    six = find("", "BatchNormalization", 6).function
    assert tl.allclose(six(x, *given, is_test=1, opset=6, wanted=(True,) * 5),
                       find("", "BatchNormalization", 7).function(x, *given))  # fmt: skip
    each = [c.reshape(3, 1).expand(3, 2) for c in given]
    apart = find("", "BatchNormalization", 7).function(x, *each, spatial=0)
    assert tl.allclose(apart, find("", "BatchNormalization", 7).function(x, *given), atol=1e-5)


@pytest.mark.needs_formats
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_instance_normalization(shape):
    check("InstanceNormalization", [values(shape), *channels()[:2]], 6, epsilon=1e-2)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset, dtype):
    given = [values((2, 6, 4, 3), dtype)]
    given += [values((3 if opset < 21 else 6,), dtype, i) for i in (1, 2)]
    check("GroupNormalization", given, opset, runtime=opset > 18 and dtype == "float32",
          num_groups=3)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("outputs", [(True,), (True, True, True), (True, False, True)], ids=str)
@pytest.mark.parametrize("axis", [-1, 1, 2, -2, 0])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_layer_normalization(axis, bias, outputs):
    x = values((2, 3, 4, 5), scale=3)
    shape = x.shape[axis:]
    b = values(shape, seed=2) if bias else None
    check("LayerNormalization", [x, values(shape, seed=1), b], 17, outputs, axis=axis,
          epsilon=1e-3, runtime=False)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("scale", [(5,), (4, 5), (1,), (3, 1, 5), (2, 3, 4, 5)], ids=str)
def test_scales_that_broadcast(op, scale):
    x = values((2, 3, 4, 5))
    check(op, [x, values(scale, seed=1)], 23, runtime=False, axis=-2)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_normalization(axis, dtype):
    x = values((2, 3, 4, 5), dtype)
    check("RMSNormalization", [x, values(x.shape[axis:], dtype, 1)], 23, runtime=False, axis=axis)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_layer_normalization_dtypes(dtype):
    x, scale = values((2, 3, 8), dtype), values((8,), dtype, 1)
    check("LayerNormalization", [x, scale], 17, runtime=False, tolerance=2e-2)


@pytest.mark.needs_formats
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_lrn(size):
    # onnxruntime has no even sizes; the evaluator counts as many channels as there are samples.
    given = [values((6, 6, 4, 3), scale=3)]
    check("LRN", given, 13, size=size, alpha=0.3, beta=0.6, bias=2.0, runtime=size % 2 > 0)


@pytest.mark.needs_formats
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_lp_normalization(axis, p):
    x = values((3, 4, 5))
    x[1, 2] = 0
    check("LpNormalization", [x if axis != -1 else x[..., :4]], 22, runtime=True, axis=axis, p=p)


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op, axis, opset):
    given = {} if axis is None else {"axis": axis}
    check(op, [values((2, 3, 4), scale=4)], opset, **given)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_softmax_dtypes(dtype):
    check("Softmax", [values((2, 3, 4), dtype)], 13)


BAD = {
    "groups": ("GroupNormalization", [(2, 6, 4), (6,), (6,)], {"num_groups": 4}, "divisor of 6"),
    "axis": ("LayerNormalization", [(2, 6, 4), (4,)], {"axis": 3}, "an axis of 3 axes"),
    "p": ("LpNormalization", [(2, 6, 4)], {"p": 3}, "p of 1 or 2"),
    "planes": ("InstanceNormalization", [(2, 6), (6,), (6,)], {}, "at least 3 axes"),
    "channels": ("BatchNormalization", [(2, 6, 4), *[(5,)] * 4], {}, "per channel"),
    "size": ("LRN", [(2, 6, 4)], {"size": -1}, "positive size"),
    "softmax": ("Softmax", [(2, 6)], {"axis": 2}, "axis"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_attributes(case):
    op, shapes, attributes, text = BAD[case]
    with pytest.raises(TallowError, match=text):
        find("", op, 23).function(*(tl.ones(shape) for shape in shapes), **attributes)
