"""Comparisons of integers where they lie: both ends of each dtype, every rest of a vector."""

import numpy as np
import pytest

import tallow as tl

RELATIONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
DTYPES = ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]


def pair(dtype, length):
    rng = np.random.default_rng(length)
    if dtype == "bool":
        return rng.random(length) < 0.5, rng.random(length) < 0.5
    ends = np.iinfo(dtype)
    a, b = (rng.integers(ends.min, ends.max, length, dtype, endpoint=True) for _ in "ab")
    a[::3], b[1::5] = ends.max, ends.min
    return a, np.where(rng.random(length) < 0.4, a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 1500, 40001])
def test_integers_compare_as_numpys(dtype, length):
    a, b = pair(dtype, length)
    for name, wanted in RELATIONS.items():
        compare = getattr(tl.ops, name)
        for first in (a, a[::-1]):
            found = compare(tl.from_numpy(first), tl.from_numpy(b)).numpy()
            np.testing.assert_array_equal(found, wanted(first, b), name)
    found = tl.from_numpy(a).to("bool").numpy()
    np.testing.assert_array_equal(found, a.astype(bool))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_rows_compare_with_one_row(dtype):
    a, b = pair(dtype, 257 * 9)
    a, row = a.reshape(9, 257), b[:257]
    found = tl.ops.lt(tl.from_numpy(a), tl.from_numpy(row)).numpy()
    np.testing.assert_array_equal(found, a < row)
    found = tl.ops.eq(tl.from_numpy(a[:, :1]), tl.from_numpy(row)).numpy()
    np.testing.assert_array_equal(found, a[:, :1] == row)


def test_every_byte_but_zero_is_true():
    odd = np.frombuffer(bytes([0, 1, 2, 255] * 17), np.uint8).view(bool)
    plain = tl.from_numpy(np.array([0, 1, 1, 1] * 17, bool))
    assert tl.ops.eq(tl.from_numpy(odd.copy()), plain).numpy().all()
    assert not tl.ops.gt(tl.from_numpy(odd.copy()), plain).numpy().any()


def test_integers_are_rounded_once_to_floats():
    x = np.array([2**24 + 1, 2**24 + 3, -(2**31), 2**31 - 1, 2**25 + 2, 0] * 5, np.int32)
    for dtype in ("f32", "f16", "bf16"):
        found = tl.from_numpy(x).to(dtype).to("f64").numpy()
        wanted = tl.from_numpy(x.astype(np.float32)).to(dtype).to("f64").numpy()
        np.testing.assert_array_equal(found, wanted)
