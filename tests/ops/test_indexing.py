"""Indexing against numpy: ints, slices, None, Ellipsis, bool and integer arrays, in any mix."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import IndexRangeError, ShapeError

QUICK = settings(
    max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
shapes = st.lists(st.integers(0, 4), min_size=0, max_size=4).map(tuple)


@st.composite
def keys(draw, shape):
    """A key that mostly fits the shape; numpy says whether it does."""
    parts, axis, ellipsis, count = [], 0, False, draw(st.integers(0, len(shape) + 1))
    for _ in range(count):
        n = shape[axis] if axis < len(shape) else 1
        bound = st.none() | st.integers(-6, 6)
        step = st.none() | st.integers(-3, 3).filter(bool) | st.sampled_from([2**62, -(2**62)])
        ints = st.integers(-n - (n == 0), max(n - 1, 0))
        kind = draw(
            st.sampled_from(["int", "slice", "slice", "none", "ellipsis", "list", "array", "mask"])
        )
        if kind == "int":
            parts.append(draw(ints))
        elif kind == "slice":
            parts.append(slice(draw(bound), draw(bound), draw(step)))
        elif kind == "none":
            parts.append(None)
            continue
        elif kind == "ellipsis" and not ellipsis:
            parts.append(Ellipsis)
            ellipsis = True
            continue
        elif kind == "list":
            parts.append(draw(st.lists(ints, min_size=1, max_size=3)))
        elif kind == "array":
            size = draw(st.sampled_from([(), (1,), (2,), (2, 1), (0,)]))
            parts.append(
                np.array(draw(st.lists(ints, min_size=4, max_size=4)))[
                    : int(np.prod(size))
                ].reshape(size)
            )
        elif kind == "mask":
            width = draw(st.integers(1, 2))
            size = shape[axis : axis + width] or (2,)  # 0-d masks are refused
            bits = draw(st.lists(st.booleans(), min_size=16, max_size=16))
            parts.append(
                np.array(bits)[: int(np.prod(size))].reshape(size) if np.prod(size) <= 16 else True
            )
            axis += width - 1
        axis += 1
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


def loose(key):
    """Whether numpy is laxer than we are: about empty masks, and positions beside empty arrays."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays = [p for p in parts if isinstance(p, np.ndarray)]
    empty = [p for p in arrays if not (p.any() if p.dtype == bool else p.size)]
    masks = any(p.dtype == bool for p in empty) and any(p is Ellipsis for p in parts)
    return masks or (bool(empty) and any(not p.ndim for p in arrays))


def ours(key):
    """The same key with tensors for arrays."""
    if isinstance(key, tuple):
        return tuple(ours(part) for part in key)
    return tl.from_numpy(key.copy()) if isinstance(key, np.ndarray) else key


@st.composite
def arrays_and_keys(draw):
    shape = draw(shapes)
    x = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    if draw(st.booleans()):
        x = x.transpose()
    return x, draw(keys(x.shape))


def numpy_get(x, key):
    try:
        return x[key]
    except (IndexError, ValueError):
        return None


@QUICK
@given(arrays_and_keys())
def test_reading_matches_numpy(case):
    x, key = case
    assume(not loose(key))
    wanted = numpy_get(x, key)
    for k in (key, ours(key)):
        if wanted is None:
            with pytest.raises((IndexRangeError, ShapeError)):
                tl.from_numpy(x)[k]
        else:
            got = tl.from_numpy(x)[k]
            assert got.shape == np.shape(wanted)
            np.testing.assert_array_equal(got.numpy(), wanted)


@QUICK
@given(arrays_and_keys(), st.data())
def test_writing_matches_numpy(case, data):
    x, key = case
    target = numpy_get(x, key)
    assume(target is not None and not loose(key))
    shape = np.shape(target)
    cut = data.draw(st.integers(0, len(shape)))
    small = tuple(1 if data.draw(st.booleans()) else n for n in shape[cut:])
    small = data.draw(st.sampled_from([small, shape, (1, *shape)])) if shape else ()
    value = -1 - np.arange(int(np.prod(small)), dtype=np.int64).reshape(small)
    wanted, got = x.copy(), tl.from_numpy(x.copy())
    try:
        wanted[key] = value
    except TypeError:  # numpy takes no (1, n) for a mask; we and torch do
        assume(False)
    got[ours(key)] = tl.from_numpy(value)
    np.testing.assert_array_equal(got.numpy(), wanted)
    wanted[key] = 77
    got[key] = 77
    np.testing.assert_array_equal(got.numpy(), wanted)


def test_basic_indexing_gives_views():
    x = tl.arange(24).reshape(2, 3, 4)
    for key in [0, (slice(None), 1), (..., 2), (None, 1), slice(None, None, -1), (1, 2, 3), ()]:
        assert x[key]._array.storage_id == x._array.storage_id
    x[1, ::-1, 2] = tl.tensor([-1, -2, -3])
    assert x[1, :, 2].tolist() == [-3, -2, -1]


@pytest.mark.parametrize(
    "key",
    [3, -4, (0, 0, 0), (..., ...), [3], [0, -4], ([0], [2]), 2**70, "a", 1.5],
    ids=str,
)
def test_wrong_keys(key):
    x = tl.zeros(3, 2)
    with pytest.raises((IndexRangeError, tl.errors.DTypeError), match=r"^(index|tensor): "):
        x[key]
    with pytest.raises((IndexRangeError, tl.errors.DTypeError)):
        x[key] = 1.0
    assert not x.any()


def test_a_bool_adds_an_axis():
    x = tl.arange(6).reshape(2, 3)
    assert x[True].shape == (1, 2, 3) and x[False].shape == (0, 2, 3)


def test_index_errors_are_python_index_errors():
    with pytest.raises(IndexError):
        tl.zeros(3)[[0, 5]]
    with pytest.raises(ValueError, match="setitem: expected a shape that broadcasts"):
        tl.zeros(3)[:2] = tl.ones(3)


def test_overlapping_writes():
    x = tl.arange(5)
    x[[4, 3, 2, 1, 0]] = x
    assert x.tolist() == [4, 3, 2, 1, 0]
    x[1:] = x[:-1]
    assert x.tolist() == [4, 4, 3, 2, 1]
    x[::-1] = x
    assert x.tolist() == [1, 2, 3, 4, 4]


def test_equal_indices_the_last_one_wins():
    x = tl.zeros(3)
    x[[1, 1, 1]] = tl.tensor([1.0, 2.0, 3.0])
    assert x.tolist() == [0, 3, 0]


def test_values_are_converted():
    x = tl.zeros(3, dtype="i64")
    x[0] = 1.7
    x[1:] = tl.tensor([2.9, -3.9])
    assert x.tolist() == [1, 2, -3]
    with pytest.raises(
        tl.errors.ArgumentError, match="expected a number that u8 can hold, got 300"
    ):
        tl.zeros(3, dtype="u8")[0] = 300


def test_iteration():
    x = tl.arange(6).reshape(3, 2)
    assert [row.tolist() for row in x] == x.tolist() and len(x) == 3
    for bad in (lambda: len(tl.tensor(1)), lambda: iter(tl.tensor(1))):
        with pytest.raises(tl.TallowError):
            bad()
