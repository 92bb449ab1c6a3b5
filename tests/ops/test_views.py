"""Views and in-place ops: when storage is shared, what a write reaches, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import DTypeError, ShapeError

QUICK = settings(max_examples=400, derandomize=True, deadline=None)


@st.composite
def strided(draw):
    """A numpy array of any strides, and a shape of as many elements."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=0, max_size=4))
    x = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(shape)
    for _ in range(draw(st.integers(0, 3))):
        if not x.ndim:
            break
        axis = draw(st.integers(0, x.ndim - 1))
        change = draw(st.sampled_from(["flip", "skip", "swap", "expand", "cut"]))
        key = [slice(None)] * x.ndim
        if change == "swap":
            x = x.swapaxes(0, axis)
        elif change == "expand":
            x = np.broadcast_to(x[None], (2, *x.shape)) if x.ndim < 5 else x
        else:
            key[axis] = {
                "flip": slice(None, None, -1),
                "skip": slice(None, None, 2),
                "cut": slice(1, None),
            }[change]
            x = x[tuple(key)]
    factors, new = x.size, []
    while factors > 1 and len(new) < 5:
        divisor = draw(st.sampled_from([d for d in range(1, factors + 1) if factors % d == 0]))
        new.append(divisor)
        factors //= divisor
    return x, (*new, factors) if x.size else (0, *draw(st.lists(st.integers(0, 3), max_size=2)))


def can_view(x, shape):
    """Whether numpy finds strides for it."""
    view = x.view()
    try:
        view.shape = shape
    except (AttributeError, ValueError):
        return False
    return True


@QUICK
@given(strided())
@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_reshape_shares_storage_when_it_can(case):
    x, shape = case
    t = tl.from_numpy(x)
    got = t.reshape(shape)
    np.testing.assert_array_equal(got.numpy(), x.reshape(shape))
    shared = got._array.storage_id == t._array.storage_id
    if x.size:
        assert shared == can_view(x, shape)
    if shared:
        assert t.view(shape).tolist() == got.tolist()
    else:
        with pytest.raises(ShapeError, match=r"^view: the strides of shape"):
            t.view(shape)
    assert got.reshape(x.shape).tolist() == x.tolist()


@QUICK
@given(strided(), strided())
def test_copy_between_any_strides(p, q):
    x, y = p[0], q[0]
    if x.shape != y.shape:
        x = np.resize(x, y.shape) if x.size else np.zeros(y.shape, np.int64)
    target = tl.empty(y.shape, dtype="i64")
    target.copy_(tl.from_numpy(x))
    np.testing.assert_array_equal(target.numpy(), x)
    np.testing.assert_array_equal((tl.from_numpy(x) + tl.from_numpy(y)).numpy(), x + y)
    np.testing.assert_array_equal(tl.from_numpy(y).contiguous().numpy(), y)


@pytest.mark.parametrize(
    "shape", [(-1, -1), (5,), (-2, 3), (0, -1), (7, -1), (2**40, 2**40), (2**70,)], ids=str
)
def test_wrong_shapes(shape):
    for name in ("reshape", "view"):
        with pytest.raises(ShapeError, match=rf"^{name}: expected"):
            getattr(tl.zeros(6), name)(shape)


def test_shapes_of_numpy_integers():
    assert tl.zeros(np.int64(3)).shape == (3,) and tl.zeros(6).reshape(np.int32(2), 3).shape == (
        2,
        3,
    )
    assert tl.zeros(6).reshape(np.int64(-1)).shape == (6,)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.transpose(0, 2),
        lambda x: x.permute(0, 0),
        lambda x: x.permute(0),
        lambda x: x.expand(2, 4),
        lambda x: x.expand(3),
        lambda x: x.unsqueeze(4),
        lambda x: x.narrow(0, 1, 2),
        lambda x: x.narrow(0, -3, 1),
        lambda x: x.squeeze(2),
        lambda x: x.flatten(5),
        lambda x: x.flatten(1, 0),
        lambda x: x.select(5, 0),
        lambda x: x.unbind(5),
        lambda x: x.split(2, 5),
        lambda x: x.split([1, 1], 1),
        lambda x: x.split([-1, 4], 1),
        lambda x: x.split(0),
        lambda x: x.expand(-2, 3),
        lambda x: x.expand(2**40, 2**40, 2, 3),
        lambda x: tl.cat([x, x[0]], 1),
        lambda x: tl.cat([]),
        lambda x: tl.stack([x, x[0]]),
        lambda x: tl.cat([x], 2),
    ],
)
def test_wrong_views(call):
    with pytest.raises(ShapeError, match=r"^[a-z]+: "):
        call(tl.zeros(2, 3))


def test_writes_reach_all_views():
    x = tl.zeros(4, 3)
    x.T[1] += 1
    x[::-2, 2] = 5
    assert x.tolist() == [[0, 1, 0], [0, 1, 5], [0, 1, 0], [0, 1, 5]]
    y = x.reshape(2, 6)
    y.mul_(2)
    assert x[3].tolist() == [0, 2, 10] and x.clone().storage_offset() == 0


@pytest.mark.parametrize("n", [8, 70000])
def test_operands_that_overlap_the_target(n):
    for left, right in [
        (slice(1, None), slice(None, -1)),
        (slice(None, -1), slice(1, None)),
        (slice(None), slice(None, None, -1)),
    ]:
        a = np.arange(n, dtype=np.float32)
        x = tl.from_numpy(a.copy())
        x[left].add_(x[right])
        a[left] = a[left] + a[right].copy()
        np.testing.assert_array_equal(x.numpy(), a)
    square = tl.arange(9).reshape(3, 3)
    square += square.T
    assert square.tolist() == [[0, 4, 8], [4, 8, 12], [8, 12, 16]]
    x = tl.ones(3)
    x += x[:1]
    x *= x
    assert x.tolist() == [4, 4, 4]


def test_in_place_refusals():
    x = tl.zeros(3, dtype="i64")
    with pytest.raises(DTypeError, match="a result of f32 cannot be stored into i64"):
        x += 1.5
    with pytest.raises(ShapeError, match="expected an output of shape"):
        x.add_(tl.zeros(2, 3, dtype="i64"))
    spread = tl.zeros(1).expand(3)
    for write in (
        lambda: spread.add_(1),
        lambda: spread.fill_(2),
        lambda: spread.__setitem__([0, 1], 1.0),
    ):
        with pytest.raises(ShapeError, match="expected a target whose elements lie apart"):
            write()
    assert spread.tolist() == [0, 0, 0]
    x.add_(tl.tensor([1, 2, 3], dtype="u8")).sub_(1).mul_(2)
    assert x.tolist() == [0, 2, 4] and x._array.version > 0
