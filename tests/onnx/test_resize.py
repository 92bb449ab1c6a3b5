"""Resize, Upsample and Pad in every mode, by onnx's evaluator and ONNX Runtime."""

import itertools

import numpy as np
import pytest

from tallow.errors import TallowError

pytestmark = pytest.mark.needs_formats

TRANSFORMS = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
X = np.random.default_rng(0).standard_normal((1, 2, 5, 7)).astype("float32")
ROI = np.array([0, 0, 0.21, -0.13, 1, 1, 0.93, 1.17], "float32")


def ints(*values, dtype="int64"):
    return np.array(values, dtype)


def floats(*values):
    return np.array(values, "float32")


def resized(mode, transform, **more):
    """Attributes, and a roi where there must be one."""
    crop = transform == "tf_crop_and_resize"
    given = {"mode": mode, "coordinate_transformation_mode": transform, **more}
    return (given | {"extrapolation_value": -7.0}, ROI) if crop else (given, None)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes_and_coordinates(mode, transform):
    from one_node import check

    ways = [{}]
    if mode == "nearest" and transform != "tf_crop_and_resize":
        ways = [{"nearest_mode": r} for r in ("round_prefer_ceil", "floor", "ceil")] + ways
    elif mode == "cubic":
        ways = [{}, {"cubic_coeff_a": -0.5}, {"exclude_outside": 1}]
    for more in ways:
        given, roi = resized(mode, transform, **more)
        for sizes in ((1, 2, 9, 4), (1, 2, 1, 13), (1, 2, 3, 1), (1, 2, 10, 14), (1, 2, 5, 7)):
            check("Resize", [X, roi, None, ints(*sizes)], given, 13)
        # Scales that f32 holds: of others the evaluator takes neighbours by coordinates in f64.
        for scales in ((1, 1, 2, 2), (1, 1, 0.8125, 0.5625), (1, 1, 2.5, 1), (1, 1, 0.3125, 3)):
            check("Resize", [X, roi, floats(*scales)], given, 11)
            check("Resize", [X, roi, floats(*scales)], given, 19, fixed=(2,))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias(mode):
    from one_node import check

    for transform, more in itertools.product(TRANSFORMS[:5], ({}, {"exclude_outside": 1})):
        given, _ = resized(mode, transform, antialias=1, **more)
        for sizes in ((1, 2, 2, 3), (1, 2, 9, 3), (1, 2, 1, 6)):
            check("Resize", [X, None, None, ints(*sizes)], given, 18, tolerance=1e-4)


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_axes_and_policies(policy):
    from one_node import check

    for axes, sizes in (([2, 3], (9, 9)), ([3, 2], (4, 13)), ([3], (11,)), ([1, 3], (4, 3))):
        for mode in ("nearest", "linear"):
            given = {"axes": axes, "mode": mode, "keep_aspect_ratio_policy": policy}
            check("Resize", [X, None, None, ints(*sizes)], given, 19)
    given = {"axes": [3, 2], "mode": "linear"}
    check("Resize", [X, None, floats(2, 0.5)], given, 18)
    crop = given | {"coordinate_transformation_mode": "tf_crop_and_resize"}
    check("Resize", [X, floats(0.1, 0.4, 0.8, 1.0), floats(2, 1.5)], crop, 18)


def test_any_number_of_axes():
    from one_node import check

    rng = np.random.default_rng(1)
    for shape, scales in (((6,), (1.5,)), ((3, 4), (2, 3)), ((2, 3, 4, 5, 2), (1, 2, 0.5, 2, 3))):
        x = rng.standard_normal(shape).astype("float32")
        for mode in ("nearest", "linear", "cubic"):
            check("Resize", [x, None, floats(*scales)], {"mode": mode}, 19)


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "bfloat16", "int32", "int64", "uint8", "int8"]
)
def test_dtypes(dtype):
    import ml_dtypes

    from one_node import check

    x = np.random.default_rng(2).standard_normal((1, 1, 4, 5)) * 40 + 60
    x = x.astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))
    wide = 1e-2 if "16" in dtype else 1e-5
    for mode in ("nearest", "linear", "cubic"):
        check("Resize", [x, None, floats(1, 1, 2, 0.6)], {"mode": mode}, 13, tolerance=wide)


def test_nearest_moves_what_is_no_number():
    from one_node import run

    texts = np.array([["a", "b"], ["", "ü"]], object)
    given = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    for x in (texts, texts != "", texts == "a"):
        found = run("Resize", [x, None, floats(2, 1.5)], given, 13)[0]
        assert (found == x[[0, 0, 1, 1]][:, [0, 0, 1]]).all()


def runtime(op_type, inputs, attributes, opset):
    """What ONNX Runtime gives."""
    import onnxruntime

    from one_node import model

    proto, feeds = model(op_type, inputs, attributes, opset)
    proto.ir_version = 8
    for each in proto.graph.output:
        each.type.tensor_type.elem_type = proto.graph.input[0].type.tensor_type.elem_type
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    made = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return made.run(None, feeds)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_before_opset_11_scales_count_from_the_first_element(mode):
    from one_node import equal, run

    given = {"mode": mode}
    for scales in ((1, 1, 2, 3), (1, 1, 1.5, 2)):
        want = runtime("Resize", [X, floats(*scales)], given, 10)
        equal(run("Resize", [X, floats(*scales)], given, 10)[0], want[0])
        equal(run("Upsample", [X, floats(*scales)], given, 9)[0], want[0])
        equal(run("Upsample", [X], given | {"scales": scales}, 7)[0], want[0])
    for scales in ((1, 1, 0.6, 0.6), (1, 1, 0.5, 0.3)):
        want = runtime("Resize", [X, floats(*scales)], given, 10)
        equal(run("Resize", [X, floats(*scales)], given, 10)[0], want[0])


def test_nearest_neighbours_are_those_of_onnx_runtime():
    from one_node import equal, run

    x = np.arange(60, dtype="float32").reshape(1, 1, 2, 30)
    for transform, rounding in itertools.product(
        ("half_pixel", "pytorch_half_pixel", "asymmetric"),
        ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    ):
        given = {"coordinate_transformation_mode": transform, "nearest_mode": rounding}
        for scale in (1 / 3, 0.1, 0.7, 1.1, 4 / 3, 1.7, 2):
            inputs = [x, None, floats(1, 1, 1, scale)]
            want = runtime("Resize", inputs, given, 19)
            equal(run("Resize", inputs, given, 19)[0], want[0], 0)


PADS = (
    (0, 0, 1, 2, 0, 0, 2, 1), (0, 0, 0, 3, 0, 0, 0, 0), (1, 1, 0, 0, 1, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0, 0), (0, 1, 2, 2, 0, 1, 2, 2),
)  # fmt: skip


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(mode):
    from one_node import check

    for pads in PADS:
        for opset in (11, 13, 18, 19, 21, 25) if mode != "wrap" else (19, 25):
            check("Pad", [X, ints(*pads)], {"mode": mode}, opset)
            check("Pad", [X, ints(*pads)], {"mode": mode}, opset, fixed=(1,))
        if mode != "wrap":
            check("Pad", [X], {"mode": mode, "pads": pads}, 7)
    check("Pad", [X, ints(9, 8, 7, 6, 9, 8, 7, 6)], {"mode": mode}, 21)
    for axes in (ints(-1, 2), ints(0, 3, dtype="int32")):
        check("Pad", [X, ints(1, 0, 0, 2), None, axes], {"mode": mode}, 21)


def test_pad_values():
    from one_node import check, run

    check("Pad", [X, ints(*PADS[0]), np.array(2.5, "float32")], {}, 13)
    check("Pad", [X], {"pads": PADS[0], "value": -1.5}, 2)
    found = run("Pad", [X, ints(0, 0, -1, 1, 0, 0, 1, -2)], {}, 13)[0]
    assert np.array_equal(found, np.pad(X[:, :, 1:, :-2], ((0, 0), (0, 0), (0, 1), (1, 0))))
    found = run("Pad", [X, ints(0, 0, -1, 1, 0, 0, 1, -2)], {"mode": "reflect"}, 13)[0]
    part = np.pad(X[:, :, 1:, :-2], ((0, 0), (0, 0), (0, 1), (1, 0)), mode="reflect")
    assert np.array_equal(found, part)


DTYPES = [
    "float64",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "bool",
    "complex64",
    "complex128",
    "int4",
    "uint4",
    "float4_e2m1fn",
    "int2",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad_dtypes(dtype):
    import ml_dtypes

    from one_node import equal, run

    x = np.arange(4).reshape(2, 2) % 2
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    for mode in ("constant", "edge", "reflect", "wrap"):
        found = run("Pad", [x.astype(kind), ints(1, 0, 0, 1)], {"mode": mode}, 25)[0]
        equal(found, np.pad(x, ((1, 0), (0, 1)), mode=mode).astype(kind))
    value = np.array([1], "int64").astype(kind)
    found = run("Pad", [x.astype(kind), ints(1, 0, 0, 1), value], {}, 25)[0]
    equal(found, np.pad(x, ((1, 0), (0, 1)), constant_values=1).astype(kind))


def test_pad_texts():
    from one_node import run

    x = np.array([["a", "b"]], object)
    assert run("Pad", [x, ints(0, 1, 0, 0)], {}, 13)[0].tolist() == [["", "a", "b"]]
    given = [x, ints(0, 0, 1, 0), np.array("-", object)]
    assert run("Pad", given, {}, 13)[0].tolist() == [["a", "b"], ["-", "-"]]
    assert run("Pad", given[:2], {"mode": "edge"}, 13)[0].tolist() == [["a", "b"], ["a", "b"]]
    assert run("CenterCropPad", [x, ints(1, 5)], {}, 18)[0].tolist() == [["", "a", "b", "", ""]]


def test_center_crop_pad():
    from one_node import check

    for shape in ((1, 2, 2, 9), (2, 1, 8, 2), (1, 2, 4, 10)):
        check("CenterCropPad", [X, ints(*shape)], {}, 18)
        check("CenterCropPad", [X, ints(*shape[2:], dtype="int32")], {"axes": [-1, 2]}, 21)


BAD = {
    "both": ("Resize", [X, None, floats(1, 1, 2, 2), ints(1, 2, 3, 4)], {}),
    "neither": ("Resize", [X], {}),
    "count": ("Resize", [X, None, floats(2, 2)], {}),
    "negative": ("Resize", [X, None, floats(1, 1, -1, 2)], {}),
    "nan": ("Resize", [X, None, floats(1, 1, np.nan, 2)], {}),
    "infinite": ("Resize", [X, None, floats(1, 1, np.inf, 2)], {}),
    "sizes": ("Resize", [X, None, None, ints(1, 2, -1, 2)], {}),
    "huge": ("Resize", [X, None, None, ints(1, 2, 1 << 40, 2)], {}),
    "empty": ("Resize", [X[:, :, :0], None, None, ints(1, 2, 2, 2)], {}),
    "mode": ("Resize", [X, None, floats(1, 1, 2, 2)], {"mode": "area"}),
    "rounding": ("Resize", [X, None, floats(1, 1, 2, 2)], {"nearest_mode": "up"}),
    "policy": ("Resize", [X, None, None, X.shape], {"keep_aspect_ratio_policy": "no"}),
    "axes": ("Resize", [X, None, floats(2)], {"axes": [4]}),
    "roi": ("Resize", [X, None, floats(1, 1, 2, 2)], resized("linear", TRANSFORMS[5])[0]),
    "antialias": ("Resize", [X, None, floats(1, 1, 2, 2)], {"antialias": 1}),
    "pad edge huge": ("Pad", [X, ints(*[0] * 7, 1 << 62)], {"mode": "edge"}),
    "pad matrix": ("Pad", [X, ints(PADS[0])], {}),
    "sizes floats": ("Resize", [X, None, None, floats(1, 2, 3, 4)], {}),
    "pads": ("Pad", [X, ints(1, 2, 3)], {}),
    "cut": ("Pad", [X, ints(0, 0, -3, 0, 0, 0, -3, 0)], {}),
    "pad mode": ("Pad", [X, ints(*PADS[0])], {"mode": "mirror"}),
    "pad nothing": ("Pad", [X[:, :, :0], ints(*PADS[0])], {"mode": "reflect"}),
    "pad axes": ("Pad", [X, ints(1, 1), None, ints(7)], {}),
    "pad huge": ("Pad", [X, ints(0, 0, 0, 0, 0, 0, 0, 1 << 62)], {}),
    "crop": ("CenterCropPad", [X, ints(1, 2)], {}),
}  # fmt: skip
BAD["policy"][1][3] = ints(*X.shape)


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    from one_node import run

    op_type, inputs, attributes = BAD[name]
    with pytest.raises(TallowError, match=op_type):
        run(op_type, inputs, attributes, 19)
