"""Boxes, regions and selections, by onnx's evaluator and ONNX Runtime."""

import numpy as np
import pytest

from tallow.errors import TallowError

pytestmark = pytest.mark.needs_formats

X = np.random.default_rng(0).standard_normal((2, 3, 9, 11)).astype("float32")


def ints(*values, dtype="int64"):
    return np.array(values, dtype)


def floats(*values):
    return np.array(values, "float32")


def boxes_of(count, seed, batch=2, center=False):
    """Boxes that overlap a lot, their corners in any order."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 10, (batch, count, 2))
    second = first + rng.uniform(-4, 4, (batch, count, 2))
    if center:
        return np.concatenate([first, np.abs(second - first)], 2).astype("float32")
    return np.concatenate([first, second], 2).astype("float32")


@pytest.mark.parametrize("center", [0, 1])
def test_non_max_suppression(center):
    from one_node import check

    rng = np.random.default_rng(1)
    boxes = boxes_of(60, 2, center=center)
    scores = rng.uniform(0, 1, (2, 3, 60)).astype("float32")
    scores[:, :, 20:30] = 0.5  # of equal ones the first is better
    given = {"center_point_box": center}
    for most, overlap, least in ((60, 0.3, 0.2), (5, 0.0, 0.0), (60, 0.9, 0.5), (7, 0.5, 2.0)):
        inputs = [boxes, scores, ints(most), floats(overlap), floats(least)]
        for opset in (10, 11):
            check("NonMaxSuppression", inputs, given, opset)
        check("NonMaxSuppression", inputs, given, 11, fixed=(2, 3, 4))
    check("NonMaxSuppression", [boxes, scores, ints(9), floats(0.4)], given, 11)


def test_non_max_suppression_keeps_nothing_without_a_number():
    from one_node import run

    boxes, scores = boxes_of(5, 3, 1), np.ones((1, 1, 5), "float32")
    for most in (None, ints(0), ints(-1)):
        assert run("NonMaxSuppression", [boxes, scores, most], {}, 11)[0].shape == (0, 3)
    assert run("NonMaxSuppression", [boxes[:, :0], scores[:, :, :0], ints(3)])[0].shape == (0, 3)


def test_non_max_suppression_takes_what_is_no_number():
    from one_node import run

    boxes = boxes_of(6, 4, 1)
    boxes[0, 1] = np.nan
    scores = floats(np.nan, 1, np.inf, -np.inf, 0, 0).reshape(1, 1, 6)
    for least in (None, floats(0)):
        found = run("NonMaxSuppression", [boxes, scores, ints(9), floats(0.5), least], {}, 11)[0]
        assert set(found[:, 2].tolist()) <= set(range(6))
        assert len(found)


REGIONS = floats([0, 0, 10, 8], [2.5, 1.5, 7, 6], [-3, -2, 4, 20], [5, 5, 5, 5], [8, 7, 3, 2])


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align(mode):
    from one_node import check

    images = ints(0, 1, 1, 0, 1)
    for ratio, scale, shape in ((2, 1.0, (3, 2)), (0, 1.0, (2, 3)), (3, 0.5, (1, 1))):
        given = {"mode": mode, "sampling_ratio": ratio, "spatial_scale": scale,
                 "output_height": shape[0], "output_width": shape[1]}  # fmt: skip
        for way in ("half_pixel", "output_half_pixel"):
            whole = given | {"coordinate_transformation_mode": way}
            check("RoiAlign", [X, REGIONS, images], whole, 16, tolerance=1e-4)
            check("RoiAlign", [X, REGIONS, images], whole, 22, tolerance=1e-4)
    check("RoiAlign", [X.astype("float64"), REGIONS.astype("float64"), images], given, 22)
    from one_node import equal, expected, run

    want = expected("RoiAlign", [X, REGIONS, images], whole, 16)[0]
    equal(run("RoiAlign", [X, REGIONS, images], given, 10)[0], want, 1e-4)
    channels = np.random.default_rng(0).standard_normal((2, 70, 7, 9)).astype("f4")
    check("RoiAlign", [channels, REGIONS, images], given, 16, tolerance=1e-4)
    many = np.concatenate([REGIONS] * 40)
    check("RoiAlign", [X, many, np.tile(images, 40)], given, 16, tolerance=1e-4)


def test_max_roi_pool():
    import onnxruntime

    from one_node import equal, model, run

    rois = np.concatenate([floats(0, 1, 1, 0, 1)[:, None], REGIONS], 1)
    for scale, shape in ((1.0, (3, 2)), (0.5, (2, 2)), (1.3, (6, 7))):
        given = {"pooled_shape": shape, "spatial_scale": scale}
        proto, feeds = model("MaxRoiPool", [X, rois], given, 13)
        proto.ir_version, proto.graph.output[0].type.tensor_type.elem_type = 8, 1
        want = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)[0]
        equal(run("MaxRoiPool", [X, rois], given, 13)[0], want)
        equal(run("MaxRoiPool", [X, rois], given, 22)[0], want)


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "uint8", "int8", "int32", "int64", "uint16", "bool", "str"],
)
def test_unique(dtype):
    from one_node import equal, run

    rng = np.random.default_rng(5)
    x = rng.integers(0, 2 if dtype == "bool" else 4, (3, 5, 2))
    x = x.astype(str).astype(object) if dtype == "str" else x.astype(dtype)
    for axis in (None, 0, 1, -1):
        given = {} if axis is None else {"axis": axis}
        y, first, inverse, counts = in_order(x, axis)
        order = np.argsort(first)
        for opset in (11, 28):
            found = run("Unique", [x], given, opset, 4)
            for got, want in zip(found, (y, first, inverse, counts), strict=True):
                equal(got, want)
            equal(run("Unique", [x], given, opset)[0], y)
            found = run("Unique", [x], given | {"sorted": 0}, opset, 4)
            back = np.argsort(order)
            want = (np.take(y, order, axis or 0), first[order], back[inverse], counts[order])
            for got, each in zip(found, want, strict=True):
                equal(got, each)


def in_order(x, axis):
    """What numpy finds; it sorts no texts along an axis."""
    if x.dtype != object:
        y, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    else:
        names = np.unique(x.reshape(-1))
        codes = np.searchsorted(names, x.reshape(-1)).reshape(x.shape)
        y, first, inverse, counts = np.unique(codes, True, True, True, axis=axis)
        y = names[y]
    return y, first, inverse.reshape(-1), counts


def test_unique_of_nothing_and_of_one():
    from one_node import run

    assert [y.shape for y in run("Unique", [X[:0]], {}, 11, 4)] == [(0,)] * 4
    found = run("Unique", [floats(3)[0].reshape(())], {}, 11, 4)
    assert [y.tolist() for y in found] == [[3.0], [0], [0], [1]]


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter(mode):
    from one_node import check

    rng = np.random.default_rng(6)
    for axis, shape, given in ((-2, (2, 3, 6, 4), (2, 3, 3, 4)), (1, (2, 6, 4), (2, 2, 4))):
        for dtype in ("float32", "float16", "int8", "bool"):
            past, update = (rng.integers(0, 2, s).astype(dtype) for s in (shape, given))
            way = {"axis": axis, "mode": mode}
            check("TensorScatter", [past, update], way, 24)
            at = ints(3, 1) if mode == "linear" else ints(5, 4)
            check("TensorScatter", [past, update, at], way, 24)


BOXES, SCORES = boxes_of(4, 7), np.ones((2, 1, 4), "float32")
PAST = np.zeros((2, 6, 4), "float32")
BAD = {
    "boxes": ("NonMaxSuppression", [BOXES[:, :3], SCORES, ints(3)], {}),
    "boxes axes": ("NonMaxSuppression", [BOXES[0], SCORES, ints(3)], {}),
    "boxes most": ("NonMaxSuppression", [BOXES, SCORES, ints(3, 4)], {}),
    "roi": ("RoiAlign", [X, REGIONS[:, :3], ints(0, 0, 0, 0, 0)], {}),
    "roi images": ("RoiAlign", [X, REGIONS, ints(0)], {}),
    "roi far": ("RoiAlign", [X, REGIONS, ints(2, 0, 0, 0, 0)], {}),
    "roi mode": ("RoiAlign", [X, REGIONS, ints(0, 0, 0, 0, 0)], {"mode": "min"}),
    "roi size": ("RoiAlign", [X, REGIONS, ints(0, 0, 0, 0, 0)], {"output_width": 0}),
    "pool": ("MaxRoiPool", [X, REGIONS], {"pooled_shape": [1, 1]}),
    "pool far": ("MaxRoiPool", [X, floats([2, 0, 0, 1, 1])], {"pooled_shape": [1, 1]}),
    "pool nan": ("MaxRoiPool", [X, floats([0, 0, np.nan, 1, 1])], {"pooled_shape": [1, 1]}),
    "pool huge": ("MaxRoiPool", [X, floats([0, 0, 0, 1, 1])], {"pooled_shape": [1, 1 << 40]}),
    "pool size": ("MaxRoiPool", [X, floats([0, 0, 0, 1, 1])], {"pooled_shape": [0, 1]}),
    "unique axis": ("Unique", [X], {"axis": 4}),
    "past long": ("TensorScatter", [PAST, np.zeros((2, 7, 4), "float32")], {}),
    "past far": ("TensorScatter", [PAST, PAST[:, :2], ints(5, 0)], {}),
    "past low": ("TensorScatter", [PAST, PAST[:, :2], ints(-1, 0)], {}),
    "past batch": ("TensorScatter", [PAST, PAST[:, :2], ints(0)], {}),
    "past axis": ("TensorScatter", [PAST, PAST[:, :2]], {"axis": 0}),
    "past mode": ("TensorScatter", [PAST, PAST[:, :2]], {"mode": "ring"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    from one_node import run

    op_type, inputs, attributes = BAD[name]
    with pytest.raises(TallowError, match=op_type):
        run(op_type, inputs, attributes, 28)
