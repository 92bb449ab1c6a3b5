"""Views and in-place ops: when storage is shared, what a write reaches, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import DTypeError, GradError, ShapeError

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
        "x.sum(a)", "x.sum((a, 0))", "x.mean(a)", "x.prod(a)", "x.amax(a)", "x.any(a)", "x.std(a)",
        "x.argmax(a)", "x.max(a)[1]", "x.softmax(a)", "x.log_softmax(a)", "x.logsumexp(a)",
        "x.gather(a, i)", "x.scatter(a, i, x)", "x.index_select(a, i[0])", "x.cumsum(a)",
        "x.sort(a)[1]", "x.topk(1, a)[1]", "x.diff(dim=a)", "tl.trapezoid(x, dim=a)", "x.flip(a)",
        "x.transpose(a, 0)", "x.unbind(a)[0]", "x.roll(1, a)", "x.unsqueeze(a)",
    ],
)  # fmt: skip
def test_axes_of_numpy_integers(call):
    x, i = tl.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), tl.tensor([[0, 0, 1], [1, 0, 1]])
    for axis in (1, -1):
        plain, numpys = (
            eval(call, {"tl": tl, "x": x, "i": i, "a": a}) for a in (axis, np.int64(axis))
        )
        assert numpys.tolist() == plain.tolist()


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
        lambda: spread.copy_(tl.ones(3)),
        lambda: spread.__setitem__([0, 1], 1.0),
    ):
        with pytest.raises(ShapeError, match="expected a target whose elements lie apart"):
            write()
    assert spread.tolist() == [0, 0, 0]
    x.add_(tl.tensor([1, 2, 3], dtype="u8")).sub_(1).mul_(2)
    assert x.tolist() == [0, 2, 4] and x._array.version > 0


VIEWS = {
    "reshape": lambda x: x.reshape(2, 12),
    "view": lambda x: x.view(24),
    "flatten": lambda x: x.flatten(),
    "unflatten": lambda x: x.unflatten(1, (2, 3)),
    "squeeze": lambda x: x.squeeze((0, 1)),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "transpose": lambda x: x.transpose(0, 1),
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, -1),
    "expand": lambda x: x.expand(3, 4, 6),
    "narrow": lambda x: x.narrow(1, -3, 2),
    "select": lambda x: x.select(0, 2),
    "diagonal": lambda x: x.diagonal(1),
    "unfold": lambda x: x.unfold(1, 3, 2),
    "as_strided": lambda x: x.as_strided((2, 3), (7, 1), 4),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split([1, 3])[1],
    "chunk": lambda x: x.chunk(2, 1)[1],
    "tensor_split": lambda x: x.tensor_split([2, 3], 1)[1],
    "hsplit": lambda x: tl.hsplit(x, 3)[2],
    "T": lambda x: x.T,
    "broadcast_tensors": lambda x: tl.broadcast_tensors(x, tl.zeros(2, 1, 1))[0],
    "atleast_3d": lambda x: tl.atleast_3d(x),
}


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.repeat(2, 1),
        lambda x: x.repeat(1, 1),
        lambda x: x.repeat(2, 1, 1),
        lambda x: x.tile(3, 1),
        lambda x: x.repeat_interleave(1, 0),
        lambda x: x.repeat_interleave(2, 0),
    ],
)
def test_repeats_are_copies(copy):
    x = tl.ones(1, 3)
    out = copy(x)
    out.mul_(5)  # of a view of stride 0 this would be refused
    assert (x == 1).all() and (out == 5).all()


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_and_history(name):
    x = tl.arange(24.0, dtype="f64").reshape(4, 6)
    part = VIEWS[name](x)
    assert part._array.storage_id == x._array.storage_id
    if name in ("expand", "broadcast_tensors"):  # elements seen more than once
        with pytest.raises(ShapeError, match="expanded"):
            part.mul_(0)
        part.zero_()  # the same for all that are one element
        assert not part.any()
        return
    before = x.tolist()
    if name != "unfold":
        part.zero_()
        assert x.tolist() != before
    # A change through the view reaches the gradient of what the base came from.
    leaf = tl.ones(4, 6, dtype="f64").requires_grad_()
    base = leaf * 2
    if name == "unfold":
        return
    if name in ("unbind", "split", "chunk"):  # as in torch
        with pytest.raises(GradError, match="several views"):
            VIEWS[name](base).mul_(3)
        return
    VIEWS[name](base).mul_(3)
    base.sum().backward()
    wanted = tl.ones(4, 6, dtype="f64")
    VIEWS[name](wanted).fill_(3)
    assert leaf.grad.tolist() == (wanted * 2).tolist()


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((2, 3), (2, 1), 0),
        ((5,), (1,), None),
        ((2,), (1,), 3),
        ((2,), (2**62,), 0),
        ((2**40, 2**40), (0, 0), 0),
        ((1,), (1,), -1),
        ((-1,), (1,), 0),
        ((2,), (-1,), 1),
        ((2, 2), (1,), 0),
        ((1,) * 13, (1,) * 13, 0),
    ],
)
def test_as_strided_stays_in_the_storage(size, stride, offset):
    with pytest.raises(ShapeError, match="as_strided"):
        tl.zeros(4).as_strided(size, stride, offset)


def test_as_strided_sees_the_storage_behind_a_view():
    x = tl.arange(12.0)
    assert x[6:].as_strided((2, 2), (3, 1), 1).tolist() == [[1, 2], [4, 5]]
    assert x[6:].as_strided((2,), (1,)).tolist() == [6, 7]
    assert x.as_strided((0, 5), (100, 100)).shape == (0, 5)


def test_overlapping_windows_add_their_gradients():
    x = tl.arange(5.0, dtype="f64").requires_grad_()
    x.unfold(0, 3, 1).sum().backward()
    assert x.grad.tolist() == [1, 2, 3, 2, 1]
    y = tl.ones(1, dtype="f64").requires_grad_()
    y.expand(4).as_strided((2,), (0,)).sum().backward()
    assert y.grad.tolist() == [2]


def test_view_as_another_dtype():
    x = tl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.view("i32").view(tl.f32).tolist() == x.tolist()
    assert x.view("u8").shape == (2, 8)
    assert x.view("u8").view("f32").tolist() == x.tolist()
    assert x.view("complex64").tolist() == [[1 + 2j], [3 + 4j]]
    for bad in (lambda: x[:, :1].view("f64"), lambda: x.T.view("u8"), lambda: x[:, 1:].view("f64")):
        with pytest.raises(ShapeError, match=r"^view"):
            bad()
    with pytest.raises(DTypeError, match=r"^view"):
        x.view("q8_0")


def test_cat_refuses_and_leaves_out():
    a = tl.ones(2, 3)
    assert tl.cat([tl.zeros(0), a, tl.zeros(0)]).tolist() == a.tolist()
    assert tl.cat([a, tl.ones(1, 3, dtype="f64")]).dtype is tl.f64
    for bad in ([], [a, tl.ones(3, 2)], [tl.tensor(1.0)], [a, tl.ones(2)]):
        with pytest.raises(ShapeError, match=r"^cat"):
            tl.cat(bad)
    with pytest.raises(ShapeError, match=r"^cat"):
        tl.cat([a, a], 2)
    q = tl.ones(2, 32).to("q8_0")
    assert tl.cat([q, q]).shape == (4, 32) and tl.cat([q, q], 1).shape == (2, 64)
    with pytest.raises(DTypeError, match=r"^cat"):
        tl.cat([q, tl.ones(2, 32)])
