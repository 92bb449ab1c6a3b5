"""Indexing against numpy: ints, slices, None, Ellipsis, bool and integer arrays, in any mix.

Where torch differs from numpy we follow torch: ints select first, also beside arrays, and an
Ellipsis that covers no axis does not part the arrays around it.
"""

import math

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


def in_two_steps(x, key):
    """(view, rest of the key): numpy's own view by ints, slices and None, then the arrays."""
    parts = list(key) if isinstance(key, tuple) else [key]
    used = [p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else 1 for p in parts]
    used = [0 if p is None or p is Ellipsis else n for p, n in zip(parts, used, strict=True)]
    arrays = any(isinstance(p, np.ndarray | list) for p in parts)
    if not arrays or sum(used) > x.ndim or sum(p is Ellipsis for p in parts) > 1:
        return x, key
    if any(p is Ellipsis for p in parts):
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (x.ndim - sum(used))
        used[at : at + 1] = [1] * (x.ndim - sum(used))
    view, rest, axis = [], [], 0
    for p, n in zip(parts, used, strict=True):
        if isinstance(p, np.ndarray) and not p.ndim:
            p = int(p)
        if isinstance(p, np.ndarray | list):
            view += [slice(None)] * n
            rest.append(p)
        else:
            view.append(p)
            rest += [] if isinstance(p, int) else [slice(None)]
        axis += n
    return x[tuple(view)], tuple(rest)


def numpy_get(x, key):
    try:
        view, rest = in_two_steps(x, key)
        return view[rest]
    except (IndexError, ValueError):
        return None


def numpy_set(x, key, value):
    view, rest = in_two_steps(x, key)
    view[rest] = value


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
        numpy_set(wanted, key, value)
    except TypeError:  # numpy takes no (1, n) for a mask; we and torch do
        assume(False)
    got[ours(key)] = tl.from_numpy(value)
    np.testing.assert_array_equal(got.numpy(), wanted)
    numpy_set(wanted, key, 77)
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


def test_negative_numbers_wrap_in_unsigned_tensors_as_in_torch():
    x = tl.zeros(4, dtype="u8")
    x[0], x[[1]] = -1, -2
    x[x == 0] = -255
    assert x.tolist() == [255, 254, 1, 1] and x.fill_(-3).tolist() == [253] * 4
    assert tl.tensor([-1, 2], dtype="u16").tolist() == [65535, 2]
    assert tl.full((), -1, "u64").item() == 2**64 - 1  # tl.tensor refuses it, as torch.tensor
    for bad in (-256, 256):
        for call in (lambda v: x.fill_(v), lambda v: tl.tensor([v], dtype="u8")):
            with pytest.raises(tl.errors.ArgumentError, match="a number that u8 can hold"):
                call(bad)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1e10, "i32"), (256.0, "u8"), (-129.5, "i8"), (2.0**63, "i64"), (math.nan, "i64"),
     (math.inf, "i32"), (2.0**64, "u64"), (-math.inf, "u64")],
)  # fmt: skip
def test_floats_beyond_an_integer_dtype_make_no_tensor(value, dtype):
    for data in (value, [1, value]):
        with pytest.raises(tl.errors.ArgumentError, match=f"a number that {dtype} can hold"):
            tl.tensor(data, dtype=dtype)
    assert tl.tensor([2.0**63, 1.5], dtype="u64").tolist() == [2**63, 1]
    assert tl.tensor([math.nan, 0.0], dtype="bool").tolist() == [True, False]


def test_iteration():
    x = tl.arange(6).reshape(3, 2)
    assert [row.tolist() for row in x] == x.tolist() and len(x) == 3
    for bad in (lambda: len(tl.tensor(1)), lambda: iter(tl.tensor(1))):
        with pytest.raises(tl.TallowError):
            bad()


def test_ints_select_first_as_in_torch():
    x = tl.arange(24).reshape(2, 3, 4)
    assert x[0, :, [0, 1]].tolist() == x[0][:, [0, 1]].tolist()
    assert x[:, 1, [0, 3]].tolist() == x[:, 1][:, [0, 3]].tolist()
    assert x[[0, 1], :, 2].shape == (2, 3) and x[tl.tensor(1), :, [0, 1]].shape == (3, 2)
    assert x[[0, 1], ..., [0, 1], :].shape == (2, 4)
    assert x[:, None, [0, 1]].shape == (2, 1, 2, 4) and x[[0, 1], None, [0, 1]].shape == (2, 1, 4)


def test_masks_without_axes():
    x = tl.arange(6).reshape(2, 3)
    assert x[True].tolist() == [x.tolist()] and x[False].shape == (0, 2, 3)
    assert x[tl.tensor(True)].shape == (1, 2, 3) and x[0, True].shape == (1, 3)
    assert x[:, True, [0, 1]].shape == (2, 2)
    x[tl.tensor(False)] = 9
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    x[True] = 9
    assert x.tolist() == [[9] * 3] * 2


@pytest.mark.parametrize("bad", [5, -1, 2**62, -(2**63)])
def test_indices_out_of_range(bad):
    x, at, one = tl.zeros(3, 5), tl.tensor([[0, bad]]), tl.ones(1, 2)
    for call in [
        lambda: x.gather(1, at),
        lambda: x.scatter(1, at, one),
        lambda: x.scatter_add(1, at, one),
        lambda: x.scatter_reduce(1, at, one, "amax"),
        lambda: x.index_select(1, at[0]),
        lambda: x.index_add(1, at[0], tl.ones(3, 2)),
        lambda: x.index_copy(1, at[0], tl.ones(3, 2)),
    ]:
        with pytest.raises(IndexRangeError, match=r"expected an index in \[0, 5\), got"):
            call()
    if bad != -1:
        for call in [
            lambda: x.take(at * 3),
            lambda: x[:, at[0]],
            lambda: x[at[0]],
            lambda: x.index_fill(1, at[0], 1.0),
        ]:
            with pytest.raises(IndexRangeError):
                call()


def test_index_fill_counts_from_the_end_as_in_torch():
    x = tl.zeros(2, 3).index_fill(1, tl.tensor([-1, 0]), 2.0)
    assert x.tolist() == [[2, 0, 2]] * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda x, i: x.gather(2, i),
        lambda x, i: x.gather(1, i.to("f32")),
        lambda x, i: x.gather(1, i[0]),
        lambda x, i: x.gather(1, tl.zeros(4, 1, dtype="i64")),
        lambda x, i: x.scatter(1, i, x.to("f64")),
        lambda x, i: x.scatter(1, i),
        lambda x, i: x.scatter(1, i, x, reduce="max"),
        lambda x, i: x.scatter_reduce(1, i, x, "median"),
        lambda x, i: x.index_add(0, i, x),
        lambda x, i: x.index_add(0, i[0], x),
        lambda x, i: x.masked_fill(i, 1.0),
        lambda x, i: x.masked_fill(x > 0, tl.ones(2)),
        lambda x, i: x.masked_select(tl.ones(4, dtype="bool")),
        lambda x, i: x.masked_scatter(tl.ones(3, 5, dtype="bool"), tl.ones(14)),
        lambda x, i: x.put(i, tl.ones(3)),
        lambda x, i: x.index_put((), tl.ones(3)),
        lambda x, i: x.topk(6),
        lambda x, i: x.kthvalue(0),
        lambda x, i: x.quantile(1.5),
        lambda x, i: x.cumsum(2),
        lambda x, i: x.sort(3),
        lambda x, i: tl.searchsorted(tl.tensor(1.0), x),
        lambda x, i: tl.bincount(tl.tensor([-1])),
        lambda x, i: x.histc(0),
    ],
)
def test_wrong_arguments(call):
    with pytest.raises(tl.TallowError, match="expected"):
        call(tl.zeros(3, 5), tl.tensor([[0, 1]]))


def test_a_source_may_be_larger_than_the_index():
    x, src = (tl.randn(3, 4, dtype="f64").requires_grad_() for _ in range(2))
    index = tl.tensor([[0, 2], [1, 3]])
    for name in ("scatter", "scatter_add"):
        call = getattr(x, name)(1, index, src)
        call.sum().backward()
        assert tl.gradcheck(lambda a, b, name=name: getattr(a, name)(1, index, b) ** 2, [x, src])
    for how in ("sum", "prod", "mean", "amax"):
        f = lambda a, b, how=how: a.scatter_reduce(1, index, b, how).sin()  # noqa: E731
        assert tl.gradcheck(f, [x, src]) and tl.gradgradcheck(f, [x, src])
