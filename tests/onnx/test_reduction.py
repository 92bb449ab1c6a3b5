"""Reductions, places of extremes and running sums, against onnx's reference evaluator."""

import ml_dtypes
import numpy as np
import pytest

from tallow.errors import TallowError

from .single import check, run_here, run_reference, same

pytestmark = pytest.mark.needs_formats

NAMES = ("ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
         "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")  # fmt: skip
DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "int64", "uint32", "uint64")


def data(dtype, shape=(2, 3, 4)):
    """Numbers of which logarithms exist and products stay small."""
    rng = np.random.default_rng(1)
    if dtype in ("float32", "float64", "float16", "bfloat16"):
        return (rng.random(shape) + 0.5).astype(getattr(ml_dtypes, dtype, None) or dtype)
    return rng.integers(1, 4, shape).astype(dtype)


def check_wide(name, inputs, opset, **attributes):
    """Against the reference, or against it in f64 where it has no such dtype or rounds halves."""
    x, *rest = inputs
    whole = x.dtype.kind in "iu"
    odd = whole and ("Log" in name or name == "ReduceSumSquare")
    if x.dtype.isbuiltin == 1 and x.dtype != np.float16 and not odd:
        check(name, inputs, opset, rtol=1e-5, **attributes)
        return
    (got,) = run_here(name, inputs, opset, **attributes)
    (want,) = run_reference(name, [x.astype("float64"), *rest], opset, **attributes)
    assert got.dtype == x.dtype
    want = np.trunc(want) if whole else want
    np.testing.assert_allclose(got.astype("float64"), want, rtol=2e-2)


@pytest.mark.parametrize("axes", [None, [1], [0, -1], [-2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_axes_are_an_attribute_or_an_input(name, dtype, axes):
    x = data(dtype)
    for keep in (0, 1):
        given = {} if axes is None else {"axes": axes}
        check_wide(name, [x], 11, keepdims=keep, **given)
        check_wide(name, [x, None if axes is None else np.array(axes)], 18, keepdims=keep)
    if name != "ReduceSum":
        check_wide(name, [x], 13, **given)


@pytest.mark.parametrize("name", NAMES)
def test_no_axes_mean_all_or_none(name):
    x, none = data("float32"), np.array([], "int64")
    for noop in (0, 1):
        for keep in (0, 1):
            check(name, [x, none], 18, rtol=1e-5, noop_with_empty_axes=noop, keepdims=keep)
            check(name, [x], 18, rtol=1e-5, noop_with_empty_axes=noop, keepdims=keep)
    if name != "ReduceLogSumExp":  # the reference fails
        check(name, [np.float32(2).reshape(())], 18, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "ReduceMean"])
def test_reductions_of_nothing(name, dtype):
    x = np.zeros((2, 0, 3), dtype)
    if dtype != "float32" and name.startswith("ReduceLog"):
        return  # an integer has no minus infinity
    for keep in (0, 1):
        (got,) = run_here(name, [x, np.array([1])], 20, keepdims=keep)
        assert got.shape == ((2, 1, 3) if keep else (2, 3))
        least, most = (-np.inf, np.inf) if dtype == "float32" else (
            np.iinfo(dtype).min, np.iinfo(dtype).max)  # fmt: skip
        want = {"ReduceMax": least, "ReduceMin": most, "ReduceProd": 1}.get(name, 0)
        want = -np.inf if name.startswith("ReduceLog") else want
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMin"])
def test_extremes_of_small_integers_and_bools(name, dtype):
    x = np.array([[0, 1, 1], [0, 0, 1]]).astype(dtype)
    check(name, [x, np.array([1])], 20, keepdims=0)


def test_sums_of_integers_wrap():
    x = np.full(4, 2**30, "int32")
    check("ReduceSum", [x], 13)
    (got,) = run_here("ReduceMean", [np.array([-7, 2], "int32")], 13, axes=[0])
    same(got, np.array([-2], "int32"))  # towards 0, as onnxruntime


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("name", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", "uint8", "int16",
                                   "uint16", "int32", "uint32", "int64", "uint64"])  # fmt: skip
def test_places_of_extremes(dtype, name, last):
    x = np.array([[3, 1, 3, 1], [2, 2, 2, 2], [0, 5, 1, 5]]).astype(dtype)
    for axis in (0, 1, -1):
        for keep in (0, 1):
            check(name, [x], 13, axis=axis, keepdims=keep, select_last_index=last)
    check(name, [x], 11)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "uint32",
                                   "uint64"])  # fmt: skip
@pytest.mark.parametrize("name", ["CumSum", "CumProd"])
def test_running_sums_and_products(name, dtype):
    x = data(dtype)
    opset = 14 if name == "CumSum" else 26
    for axis in (0, 2, -2):
        for exclusive in (0, 1):
            for reverse in (0, 1):
                given = [x, np.array(axis, "int32")]
                (got,) = run_here(name, given, opset, exclusive=exclusive, reverse=reverse)
                same(got, running(name, x, axis, exclusive, reverse), rtol=1e-5)
    if name == "CumSum" and dtype != "float16":
        check(name, [x[0, 0], np.array(0)], 11)


def running(name, x, axis, exclusive, reverse):
    x = np.flip(x, axis) if reverse else x
    found = (np.cumsum if name == "CumSum" else np.cumprod)(x, axis, dtype=x.dtype)
    if exclusive:
        found = np.roll(found, 1, axis)
        np.moveaxis(found, axis, 0)[0] = 0 if name == "CumSum" else 1
    return np.flip(found, axis) if reverse else found


def test_axes_that_are_not_there_are_refused():
    x = data("float32")
    for name in ("ReduceSum", "ReduceMax"):
        with pytest.raises(TallowError, match=name):
            run_here(name, [x, np.array([3])], 18)
        with pytest.raises(TallowError, match=name):
            run_here(name, [x], 11, axes=[-4])
    with pytest.raises(TallowError, match="ArgMax"):
        run_here("ArgMax", [x], 13, axis=3)
    with pytest.raises(TallowError, match="CumSum"):
        run_here("CumSum", [x, np.array(3)], 14)
