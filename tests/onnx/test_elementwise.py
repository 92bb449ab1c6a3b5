"""Elementwise operators of ONNX against its reference evaluator, in every dtype and opset."""

import contextlib

import numpy as np
import pytest

import tallow as tl
from tallow.errors import TallowError

from .single import check, model_of, run_here, same

pytestmark = pytest.mark.needs_formats

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")


def numbers(dtype, shape=(3, 4), seed=0, low=-4, high=4):
    """Numbers of a dtype; integers have no 0 among them."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.random(shape) * (high - low) + low).astype(dtype)
    low = 1 if np.dtype(dtype).kind == "u" else low
    made = rng.integers(low, high, shape)
    return np.where(made == 0, 1, made).astype(dtype)


UNARY = {
    "Abs": 6, "Acos": 7, "Acosh": 9, "Asin": 7, "Asinh": 9, "Atan": 7, "Atanh": 9, "Ceil": 6,
    "Cos": 7, "Cosh": 9, "Erf": 9, "Exp": 6, "Floor": 6, "Log": 6, "Neg": 6, "Reciprocal": 6,
    "Relu": 6, "Round": 11, "Sigmoid": 6, "Sign": 9, "Sin": 7, "Sinh": 9, "Softplus": 1,
    "Softsign": 1, "Sqrt": 6, "Tan": 7, "Tanh": 6, "HardSwish": 14, "Mish": 18,
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_floats_are_the_references(name, dtype):
    ranges = {"Acos": (-1, 1), "Asin": (-1, 1), "Atanh": (-0.99, 0.99), "Acosh": (1, 9)}
    low, high = ranges.get(name, (-4, 4))
    low = 0.1 if name in ("Log", "Sqrt") else low
    for opset in sorted({max(UNARY[name], 7), 22}):
        check(name, [numbers(dtype, low=low, high=high)], opset)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mod"])
def test_arithmetic_of_integers_wraps_and_truncates(name, dtype):
    top = np.iinfo(dtype)
    a = np.array([top.max, top.min, 7, top.max, 5, 100], dtype)
    b = np.array([3, 5, 2, top.max, 3, 7], dtype)
    check(name, [a, b], 14)
    if np.dtype(dtype).kind == "i":
        check(name, [np.array([-7, 7, -7, 6], dtype), np.array([2, -2, -2, -3], dtype)], 14)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_have_the_sign_that_is_asked_for(fmod, dtype):
    if np.dtype(dtype).kind == "f" and not fmod:
        return
    check("Mod", [numbers(dtype), numbers(dtype, (4,), 1)], 13, fmod=fmod)


@pytest.mark.parametrize("y", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("x", ["int32", "int64", *FLOATS])
def test_powers_have_the_dtype_of_the_base(x, y):
    base, exponent = np.abs(numbers(x)), np.abs(numbers(y, (4,), 1))
    check("Pow", [base, exponent], 15, rtol=1e-5)


def test_extremes_of_several_tensors_keep_nan():
    x = np.array([[1, np.nan, 3], [4, 5, -6]], "float32")
    y = np.array([[np.nan], [2]], "float32")
    for name in ("Max", "Min", "Sum", "Mean"):
        check(name, [x, y, np.float32(2)[None]], 13)
        check(name, [x], 8)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_clip_takes_bounds_that_may_be_left_out(dtype):
    x, low, high = numbers(dtype), np.array(2, dtype), np.array(3, dtype)
    for bounds in ([low, high], [None, high], [low], []):
        check("Clip", [x, *bounds], 13)


def test_clip_by_attributes():
    x = numbers("float32")
    (got,) = run_here("Clip", [x], 7, min=-1.0, max=2.0)
    same(got, x.clip(-1, 2))
    (got,) = run_here("Clip", [x], 10)
    same(got, x)


ACTIVATIONS = (
    ("LeakyRelu", 6, {"alpha": 0.3}), ("HardSigmoid", 6, {"alpha": 0.3, "beta": 0.4}),
    ("HardSigmoid", 6, {"alpha": 1 / 6}), ("Elu", 6, {"alpha": 0.7}), ("Selu", 6, {}),
    ("Selu", 6, {"alpha": 1.5, "gamma": 2.0}), ("Celu", 12, {"alpha": 0.6}),
    ("ThresholdedRelu", 10, {"alpha": 1.2}), ("Gelu", 20, {}),
    ("Gelu", 20, {"approximate": "tanh"}),
    ("Shrink", 9, {}), ("Shrink", 9, {"bias": 1.5, "lambd": 1.5}), ("Swish", 24, {"alpha": 0.5}),
    ("Shrink", 9, {"bias": 0.5, "lambd": 1.5}), ("Swish", 24, {}),
)  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", ACTIVATIONS, ids=str)
def test_activations_with_attributes(case, dtype):
    name, since, attributes = case
    if name == "Celu" and dtype != "float32":
        since = 28
    for opset in sorted({max(since, 7), max(since, 22)}):
        check(name, [numbers(dtype)], opset, **attributes)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shrink_of_integers(dtype):
    check("Shrink", [numbers(dtype)], 9, bias=1.5, lambd=1.5)


@pytest.mark.parametrize("dtype", ["int32", "int64", *FLOATS])
def test_prelu_broadcasts_its_slope(dtype):
    check("PRelu", [numbers(dtype, (2, 3, 4)), numbers(dtype, (3, 1), 1)], 16)


WRONG = (
    ("Add", [np.ones((2, 3)), np.ones(4)], {}), ("Gelu", [np.ones(2)], {"approximate": [1]}),
    ("HardSigmoid", [np.ones(2)], {"alpha": "much"}), ("Clip", [np.ones(2), np.ones(3)], {}),
    ("Equal", [np.full((2, 3), "a", object), np.full(4, "a", object)], {}),
    ("ArgMax", [np.ones(2)], {"axis": 5}), ("ArgMax", [np.ones(2)], {"axis": "x"}),
    ("ConstantOfShape", [np.array([-1])], {}), ("ConstantOfShape", [np.array([[2]])], {}),
    ("Trilu", [np.ones((2, 2)), np.array([], "int64")], {}), ("Shape", [np.ones(2)], {"end": 1.5}),
    ("RandomNormal", [], {"shape": [2], "seed": "now"}), ("Cast", [np.ones(2)], {"to": [1]}),
    ("Range", [np.array([]), np.array(3.0), np.array(1.0)], {}), ("Max", [np.ones(2), None], {}),
    ("Where", [np.array([True]), np.full(2, "a", object), np.full(3, "a", object)], {}),
    ("Div", [np.array([1]), np.array([0])], {}), ("Shrink", [np.ones(2)], {"bias": "x"}),
    ("Hardmax", [np.ones(2)], {"axis": 3}), ("OneHot", [np.ones(2), np.array(-1), np.ones(2)], {}),
    ("OneHot", [np.ones(2), np.array(3), np.ones(1)], {}), ("EyeLike", [np.ones(2)], {}),
)  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0])
def test_what_has_no_meaning_is_one_error_that_names_the_node(case):
    name, inputs, attributes = case
    with pytest.raises(TallowError, match=name):
        run_here(name, inputs, 22, **attributes)
    model = tl.onnx.load(model_of(name, inputs, 22, **attributes).SerializeToString())
    with contextlib.suppress(TallowError):  # or it does not know the shape
        model.infer_shapes()


@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div", "Pow", "Greater", "Less"])
def test_opset_6_broadcasts_from_an_axis_on(name):
    operation = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide,
                 "Pow": np.power, "Greater": np.greater, "Less": np.less}[name]  # fmt: skip
    a, b = numbers("float32", (2, 3, 4), low=1), numbers("float32", (3,), 1, low=1)
    (got,) = run_here(name, [a, b], 6, broadcast=1, axis=1)
    same(got, operation(a, b[:, None]), rtol=1e-5)
    (got,) = run_here(name, [a, a[0]], 6, broadcast=1)
    same(got, operation(a, a[0]), rtol=1e-5)
    with pytest.raises(TallowError, match=name):
        run_here(name, [a, b], 6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["Sign", "Shrink", "ThresholdedRelu", "Abs", "Relu", "Floor", "Round"]
)
def test_numbers_that_are_none_and_zeros_with_a_sign(name, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5], dtype)
    if name == "ThresholdedRelu":  # onnxruntime's answer; the reference has NaN
        same(run_here(name, [x], 22)[0], np.where(x > 1, x, 0).astype(dtype))
    else:
        check(name, [x], 22)
