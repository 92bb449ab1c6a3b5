"""What calls come to is kept by signature (`op(cached=True)`), which only the clock may tell."""

import gc
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F
from ops.laws import CASES, call, convert, leaves, samples, tensor
from tallow import _native
from tallow.errors import IndexRangeError, TallowError
from tallow.registry import OPS, op

# They read values, or write into their arguments, in all samples.
NEVER = {"one_hot"}


def turned(array):
    """Other values of the same kind: the elements one place further."""
    return np.roll(array.reshape(-1), 1).reshape(array.shape)


def bits(out):
    return [
        (x.shape, x.stride(), x.dtype, x.contiguous()._array.raw_bytes())
        if isinstance(x, tl.Tensor)
        else x
        for x in leaves(out)
    ]


def outcome(name, sample, make=tensor):
    """The bits of the results, or the error."""
    try:
        return bits(call(name, sample, make))
    except TallowError as error:
        return type(error), str(error)


def repeats(run):
    """What `run` gives, and how many calls were repeated without Python in it."""
    before = _native.repeated_calls()
    return run(), _native.repeated_calls() - before


def names(**wanted):
    return [n for n, case in CASES.items() if not case.random and (n in OPS)]


@pytest.mark.parametrize("name", names())
def test_a_repeated_call_gives_what_python_gives(name):
    for dtype in CASES[name].dtypes:
        for sample in samples(name, dtype):
            other = convert([sample.args, sample.kwargs], turned)
            other = type(sample)(tuple(other[0]), other[1])
            _native.forget_calls()
            wanted = outcome(name, sample)
            _native.forget_calls()
            outcome(name, other)
            outcome(name, other)  # is traced
            assert outcome(name, sample) == wanted, (dtype, sample)


CACHED = [n for n in names() if OPS[n].cached and not OPS[n].is_view and n not in NEVER]


@pytest.mark.parametrize("name", CACHED)
def test_some_calls_are_repeated(name):
    count = 0
    for dtype in CASES[name].dtypes:
        for sample in samples(name, dtype):
            outcome(name, sample), outcome(name, sample), outcome(name, sample)
            count += repeats(lambda sample=sample: outcome(name, sample))[1]
    assert count > 0


def gradients(name, sample):
    xs = []

    def make(array):
        x = tensor(array)
        if x.dtype.kind == "f":
            xs.append(x.requires_grad_())
        return x

    outs = [y for y in leaves(call(name, sample, make)) if isinstance(y, tl.Tensor)]
    outs = [y for y in outs if y.requires_grad]
    if not outs:
        return None
    return bits(tl.autograd.grad([(y * y).sum() for y in outs], xs, allow_unused=True))


@pytest.mark.parametrize("name", [n for n in CACHED if "f32" in map(str, CASES[n].dtypes)])
def test_gradients_of_repeated_calls(name):
    for sample in samples(name, "f32"):
        try:
            _native.forget_calls()
            wanted = gradients(name, sample)
        except TallowError:
            continue
        for _ in range(4):
            assert gradients(name, sample) == wanted


def test_labels_decide_the_course_of_a_loss():
    x = tl.randn(4, 5).log_softmax(1)
    for _ in range(4):
        F.nll_loss(x, tl.tensor([0, 1, 2, 3]))
    ignoring = F.nll_loss(x, tl.tensor([0, 1, 2, -100]))
    assert ignoring.item() == pytest.approx(-(x[0, 0] + x[1, 1] + x[2, 2]).item() / 3)
    with pytest.raises(IndexRangeError, match="got 5"):
        F.nll_loss(x, tl.tensor([0, 1, 2, 5]))


def test_an_error_of_a_repeated_call_is_that_of_python():
    x = tl.ones(2, 3)
    for _ in range(4):
        x.index_select(1, tl.tensor([0, 2]))
        with pytest.raises(IndexRangeError, match="in \\[0, 3\\), got 3"):
            x.index_select(1, tl.tensor([0, 3]))


def test_older_spellings_warn_each_time():
    x = tl.ones(3)
    for _ in range(4):
        with pytest.warns(DeprecationWarning, match="size_average"):
            F.mse_loss(x, x, size_average=False)


def test_running_statistics_move_each_time():
    x, mean, var = tl.randn(4, 2, 3), tl.zeros(2), tl.ones(2)
    seen = set()
    for _ in range(4):
        F.batch_norm(x, mean, var, training=True)
        seen.add(mean.sum().item())
    assert len(seen) == 4


def test_what_is_recorded_follows_the_mode():
    x = tl.randn(2, 6)
    tracked = x.clone().requires_grad_()
    for _ in range(4):
        assert not F.glu(x).requires_grad
        assert F.glu(tracked).requires_grad
        with tl.no_grad():
            assert not F.glu(tracked).requires_grad
        with tl.inference_mode():
            assert F.glu(x).is_inference()


def test_moments_are_not_recorded_by_a_repetition():
    x = tl.randn(4, 2, 3).requires_grad_()
    for _ in range(4):
        (g,) = tl.autograd.grad(F.batch_norm(x, None, None, training=True).square().sum(), x)
        assert g.abs().max().item() < 1e-3


def test_lists_and_layouts_are_part_of_the_signature():
    x = tl.arange(12).reshape(3, 4)
    pads = [1, 0]
    for _ in range(4):
        assert F.pad(x, pads).shape == (3, 5)
    pads[1] = 2
    assert F.pad(x, pads).shape == (3, 7)
    for y in (x, x.t().contiguous().t(), x):
        for _ in range(4):
            assert tl.roll(y, 1, 1).tolist() == [[3, 0, 1, 2], [7, 4, 5, 6], [11, 8, 9, 10]]


def test_numbers_differ_by_type_and_sign():
    x = tl.zeros(2)
    for value in (0.0, -0.0, 0, False, 1, True, 1.0):
        for _ in range(4):
            out = F.pad(x, (0, 1), value=value)
            assert str(out[2].item()) == str(float(value))


def test_a_view_keeps_its_base():
    x = tl.zeros(2, 3)
    for _ in range(4):
        y = x.transpose(0, 1).narrow(0, 1, 1)
        y += 1
    assert x.tolist() == [[0, 4, 0], [0, 4, 0]]
    w = tl.ones(4).requires_grad_()
    for _ in range(4):
        (g,) = tl.autograd.grad((w * 2).view(2, 2).sum(), w)
        assert g.tolist() == [2, 2, 2, 2]


def test_a_kernel_attached_later_is_called():
    @op(name="test.cached_halves", cached=True)
    def halves(x):
        return x.neg()

    @op(name="test.outer_halves", cached=True)
    def outer(x):
        return halves(x) * 2

    try:
        x = tl.ones(3)
        for _ in range(4):
            assert outer(x).tolist() == [-2, -2, -2]

        @halves.kernel
        def _(x):
            return x * 3

        for _ in range(4):
            assert outer(x).tolist() == [6, 6, 6]
    finally:
        del OPS["test.cached_halves"], OPS["test.outer_halves"]


def test_what_is_kept_holds_no_tensor():
    import weakref

    x = tl.randn(7, 9)
    for _ in range(4):
        F.cosine_similarity(x, x + 1, -1)
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


def test_bodies_that_read_or_write_are_asked_each_time():
    @op(name="test.reads", cached=True)
    def reads(x):
        return x + 1 if x.sum().item() > 0 else x - 1

    @op(name="test.writes", cached=True)
    def writes(x):
        out = x.clone()
        out[0] = 5
        return out * 1

    @op(name="test.constant", cached=True)
    def constant(x):
        return x + tl.full((2,), 3.0)

    try:
        for _ in range(4):
            assert reads(tl.ones(2)).tolist() == [2, 2]
            assert reads(-tl.ones(2)).tolist() == [-2, -2]
            assert writes(tl.zeros(2)).tolist() == [5, 0]
            assert constant(tl.zeros(2)).tolist() == [3, 3]
    finally:
        for each in ("reads", "writes", "constant"):
            del OPS[f"test.{each}"]


@pytest.fixture
def ops():
    """Registers cached ops for one test."""
    made = []

    def register(function):
        made.append(f"test.{function.__name__}")
        return op(name=made[-1], cached=True)(function)

    yield register
    for each in made:
        del OPS[each]


def test_a_view_stays_inside_the_memory_of_each_tensor():
    long, short = tl.arange(12), tl.tensor([1, 2, 3])
    for _ in range(5):
        assert long[:3].as_strided((12,), (1,)).tolist() == list(range(12))
        with pytest.raises(TallowError, match="inside the storage of 3 elements"):
            short.as_strided((12,), (1,))


def test_tensors_of_a_list_are_told_apart(ops):
    @ops
    def difference(xs):
        return xs[0] - xs[1]

    x, y = tl.ones(3), tl.zeros(3)
    for _ in range(5):
        assert difference([x, x]).tolist() == [0, 0, 0]
        assert difference([x, y]).tolist() == [1, 1, 1]


def test_parts_are_those_of_the_argument_they_were_taken_of(ops):
    @ops
    def ends(x, y):
        return x.detach()[0] - y.detach()[2]

    whole = tl.arange(12).float()
    for _ in range(5):
        assert ends(whole[:3], whole[8:11]).item() == -10
        assert ends(tl.ones(3), tl.full((3,), 7.0)).item() == -6


def test_tuples_of_other_classes_are_made_anew(ops):
    class Pair(NamedTuple):
        a: tl.Tensor
        b: tl.Tensor

    @ops
    def paired(x, y):
        return tl.stack(Pair(x, y)) + 0

    for i in range(5):
        assert paired(tl.full((1,), i), tl.full((1,), -i)).tolist() == [[i], [-i]]


def test_values_that_other_ops_read_do_not_decide_unseen(ops):
    @ops
    def same(x, y):
        return x + 1 if tl.equal(x, y) else x - 1

    @ops
    def counted(x):
        return x * x.nonzero().shape[0]

    x, y = tl.ones(3), tl.zeros(3)
    for _ in range(5):
        assert same(x, tl.ones(3)).tolist() == [2, 2, 2]
        assert same(x, y).tolist() == [0, 0, 0]
        assert counted(x).tolist() == [3, 3, 3]
        assert counted(tl.tensor([1.0, 0, 0])).tolist() == [1, 0, 0]


def test_warnings_are_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            F.mse_loss(tl.ones(3), tl.zeros(3))


def test_reshaped_copies_are_made_each_time():
    x = tl.arange(6).reshape(2, 3)
    for i in range(4):
        y = (x + i).t().reshape(6)
        y += 1
        assert y.tolist() == [n + i + 1 for n in (0, 3, 1, 4, 2, 5)]
        empty = tl.zeros(0, 3).t().reshape(0, 2)
        assert empty.shape == (0, 2)


def test_bytes_at_any_address_are_seen_as_another_dtype():
    raw = bytes(range(64))
    for offset in (0, 0, 0, 1, 2, 3, 0, 1):
        x = tl.from_buffer(raw, "u8", (32,), offset).view(tl.f32)
        assert x.data_ptr() % 4 == 0
        assert x._array.raw_bytes() == raw[offset : offset + 32]
