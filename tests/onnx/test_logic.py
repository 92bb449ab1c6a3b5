"""Logic, comparison, choice and bits of ONNX, against its reference evaluator."""

import ml_dtypes
import numpy as np
import pytest

from tallow.errors import ArgumentError

from .single import check, run_here, same

pytestmark = pytest.mark.needs_formats

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")


@pytest.mark.parametrize("name", ["And", "Or", "Xor", "Equal"])
def test_logic_of_bools(name):
    a, b = np.array([[True, False]]), np.array([[True], [False]])
    for opset in (7, 19):
        check(name, [a, b], opset)
    check("Not", [a], 7)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("name", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_comparisons(name, dtype):
    a, b = np.array([1, 2, 3, 100]).astype(dtype), np.array([[2], [3]]).astype(dtype)
    check(name, [a, b], 16)
    if np.dtype(dtype).kind == "f":
        a[0] = np.nan
        check(name, [a, a], 16)
    else:
        top = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
        check(name, [top, top[::-1].copy()], 16)


def test_texts_are_compared_and_chosen():
    a, b = np.array(["x", "y"], object), np.array([["x"], ["z"]], object)
    same(run_here("Equal", [a, b], 19)[0], np.array([[True, False], [False, False]]))
    (got,) = run_here("Where", [np.array([True, False]), a, b], 16)
    same(got, np.array([["x", "x"], ["x", "z"]], object))


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool", "bfloat16", "complex64",
                                   "complex128"])  # fmt: skip
def test_where_takes_elements_of_either(dtype):
    kind = getattr(ml_dtypes, dtype, None) or dtype
    x, y = np.array([[1], [0]]).astype(kind), np.array([0, 1, 1]).astype(kind)
    check("Where", [np.array([True, False, True]), x, y], 16)
    check("Where", [np.array(True), x, y], 9 if dtype != "bfloat16" else 16)


@pytest.mark.parametrize("dtype", [*FLOATS, "bfloat16", *FLOAT8])
def test_what_is_infinite_or_nan(dtype):
    with np.errstate(all="ignore"):
        x = np.array([1, np.inf, -np.inf, np.nan, 0]).astype(
            getattr(ml_dtypes, dtype, None) or dtype
        )
    wide = x.astype("float32")
    same(run_here("IsNaN", [x], 20)[0], np.isnan(wide))
    for negative in (0, 1):
        for positive in (0, 1):
            (got,) = run_here("IsInf", [x], 20, detect_negative=negative, detect_positive=positive)
            want = (wide == np.inf) & bool(positive) | (wide == -np.inf) & bool(negative)
            same(got, want)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(name, dtype):
    top = np.iinfo(dtype)
    a, b = np.array([top.max, top.min, 5, 12], dtype), np.array([[3], [top.max]], dtype)
    check(name, [a, b], 18)
    check("BitwiseNot", [a], 18)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts(dtype, direction):
    top, bits = np.iinfo(dtype), 8 * np.dtype(dtype).itemsize
    a = np.array([top.max, top.min, 5, 12], dtype)
    check("BitShift", [a, np.array([[1], [3]], dtype)], 28, direction=direction)
    sign = np.where(a < 0, -1, 0).astype(dtype) if direction == "RIGHT" else np.zeros(4, dtype)
    for beyond in (bits, bits + 3, 100, *((-1,) if top.min else ())):
        (got,) = run_here("BitShift", [a, np.array([beyond], dtype)], 28, direction=direction)
        same(got, sign)


def test_a_shift_without_a_direction_is_refused():
    x = np.array([1], "uint8")
    with pytest.raises(ArgumentError, match="LEFT"):
        run_here("BitShift", [x, x], 11, direction="UP")
