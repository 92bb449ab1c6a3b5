"""Tensor under Python's protocols: text, truth, numbers, impossible sizes, wrong arguments."""

import collections
import contextlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import (
    DTypeError,
    IndexRangeError,
    OutOfMemoryError,
    ShapeError,
    TallowError,
)

NAMES = {"tensor": tl.tensor, "tl": tl, "inf": math.inf, "nan": math.nan}

# What torch 2.13 prints.
AS_TORCH = {
    "tensor(3.5000)": 3.5,
    "tensor([ True, False])": [True, False],
    "tensor([-1.5000,  2.0000])": [-1.5, 2.0],
    "tensor([1., 2., inf])": [1.0, 2.0, math.inf],
    "tensor([1.0000e-02, 2.0500e+01])": [0.01, 20.5],
    "tensor([1.0000e-05, 1.0000e+00])": [1e-5, 1.0],
    "tensor([1.0000e+05, 1.0000e+00])": [100000.5, 1.0],
    "tensor([[1, 2],\n        [3, 4]])": [[1, 2], [3, 4]],
    "tensor([1.5000e+00, 2.0000e+00,        inf, 1.0000e+09])": [1.5, 2.0, math.inf, 1e9],
}


@pytest.mark.parametrize("text", AS_TORCH)
def test_repr_is_torchs(text):
    assert repr(tl.tensor(AS_TORCH[text])) == text


def test_repr_cuts_long_axes():
    assert repr(tl.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    assert len(repr(tl.zeros(100, 100, 100))) < 3000
    assert repr(tl.zeros(2, 0)) == "tensor([], size=(2, 0), dtype=tl.f32)"
    assert repr(tl.zeros(2, dtype="f16")) == "tensor([0., 0.], dtype=tl.f16)"
    assert repr(tl.zeros(2, 32).to("q8_0")) == "tensor(shape=(2, 32), dtype=tl.q8_0, 68 bytes)"


numbers = st.floats(width=32) | st.integers(-9, 9).map(float)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.lists(numbers, min_size=1, max_size=12),
    st.sampled_from(["f32", "f64", "f16", "i64", "bool"]),
)
def test_repr_evaluates_to_the_tensor(values, dtype):
    if dtype in ("i64", "bool"):
        values = [int(v) if math.isfinite(v) and abs(v) < 2**60 else 1 for v in values]
    x = tl.tensor(values, dtype=dtype)
    again = eval(repr(x), NAMES)
    assert again.shape == x.shape
    largest = max((abs(v) for v in x.tolist() if math.isfinite(v)), default=0)
    np.testing.assert_allclose(
        again.to("f64").numpy(), x.to("f64").numpy(), rtol=1e-4, atol=1e-4 * min(largest, 1) + 1e-4
    )


def test_numbers():
    assert float(tl.tensor(2)) == 2.0 and int(tl.tensor([2.7])) == 2 and bool(tl.tensor([[0.5]]))
    assert [10, 20, 30][tl.tensor(1)] == 20 and range(5)[tl.tensor(2, dtype="u8")] == 2
    for refuse in (lambda: bool(tl.ones(2)), lambda: float(tl.empty(0)), lambda: int(tl.ones(2))):
        with pytest.raises(ShapeError, match="item: expected one element"):
            refuse()
    with pytest.raises(DTypeError, match="index: expected an integer tensor"):
        [1][tl.tensor(0.0)]
    x = tl.ones(2)
    assert {x: 1}[x] == 1 and hash(x) == hash(x) and 1 in x and 2 not in x


def test_lists():
    assert tl.tensor([]).shape == (0,) and tl.tensor([[], []]).shape == (2, 0)
    assert (
        tl.tensor([True]).dtype is tl.bool_
        and tl.tensor([True, 2]).dtype is tl.i64
        and tl.tensor([1, 2.5]).dtype is tl.f32
    )
    assert tl.tensor([np.int64(3), 4]).dtype is tl.i64 and tl.tensor([np.float32(3)]).tolist() == [
        3
    ]
    assert tl.tensor([tl.ones(2), tl.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert tl.tensor([np.arange(2), np.arange(2)]).tolist() == [[0, 1], [0, 1]]
    assert tl.tensor(np.arange(3)).dtype is tl.i64
    own = [1.0]
    own.append(own)
    for bad in ([[1], [1, 2]], [1, [2]], [[1], 2], own, [[[[[[[[[[[[[1]]]]]]]]]]]]]):
        with pytest.raises(ShapeError, match="tensor: expected"):
            tl.tensor(bad)
    for bad in ([None], ["a"], [object()], "text", None):
        with pytest.raises(DTypeError):
            tl.tensor(bad)


def test_lists_that_change_while_they_are_read():
    class Grows(float):
        def __float__(self):
            rows[1].extend([0.0] * 100000)
            return 1.0

    class Number:
        def __float__(self):
            rows[1].extend([0.0] * 100000)
            return 1.0

    for kind in (Grows, Number):
        rows = [[kind()], [2.0]]
        # Python's own floats are read without `__float__`.
        refused = pytest.raises(ShapeError, match="while they were read")
        with refused if kind is Number else contextlib.nullcontext():
            tl.tensor(rows)


@pytest.mark.parametrize(
    "shape", [(2**62,), (2**31, 2**31, 4), (2**63,), (-1,), (10**30,), (3, -2), (1,) * 13], ids=str
)
def test_impossible_sizes(shape):
    for make in (tl.zeros, tl.empty, tl.ones):
        with pytest.raises(ShapeError, match=r"expected"):
            make(*shape)


def test_sizes_beyond_memory():
    for make in (
        lambda: tl.empty(2**50),
        lambda: tl.zeros(2**57),
        lambda: tl.zeros(1).expand(2**50).clone(),
    ):
        with pytest.raises(OutOfMemoryError, match=r"^[a-z]+: expected room for \d+ bytes"):
            make()
    assert tl.zeros(2).sum().item() == 0


def test_views_larger_than_memory():
    x = tl.zeros(1).expand(2**40)
    assert x[2**39].item() == 0 and x.shape == (2**40,)
    with pytest.raises(ShapeError, match="fewer than"):
        tl.zeros(1, 1).expand(2**40, 2**40)


@pytest.mark.parametrize(
    "name", ["exp", "add", "sum", "softmax", "matmul", "where", "cat", "rms_norm"]
)
@pytest.mark.parametrize("bad", [None, "text", object(), [1.0]], ids=lambda v: type(v).__name__)
def test_operands_that_are_no_tensors(name, bad):
    arguments = {
        "exp": (bad,),
        "add": (tl.ones(2), bad),
        "sum": (bad,),
        "softmax": (bad,),
        "matmul": (tl.ones(2), bad),
    }
    arguments |= {
        "where": (tl.tensor([True]), tl.ones(1), bad),
        "cat": ([tl.ones(2), bad],),
        "rms_norm": (bad,),
    }
    with pytest.raises(DTypeError, match=rf"^{name}: expected a Tensor"):
        getattr(tl, name)(*arguments[name])


WRONG = {
    "add": lambda: tl.ones(2) + tl.ones(3),
    "matmul": lambda: tl.ones(2, 3) @ tl.ones(2, 3),
    "linear": lambda: tl.linear(tl.ones(2, 3), tl.ones(4, 2)),
    "rms_norm": lambda: tl.rms_norm(tl.ones(4), tl.ones(3)),
    "layer_norm": lambda: tl.layer_norm(tl.ones(4), tl.ones(4), tl.ones(5)),
    "softmax": lambda: tl.ones(2).softmax(3),
    "sum": lambda: tl.ones(2).sum((0, 0)),
    "argmax": lambda: tl.ones(2, 2).argmax((0, 1)),
    "topk": lambda: tl.ones(2).topk(3),
    "embedding": lambda: tl.embedding(tl.tensor([0]), tl.ones(3)),
    "rope": lambda: tl.rope(tl.ones(1, 2, 3, 4), tl.ones(1, 3, 4)),
    "attention": lambda: tl.attention(
        tl.ones(1, 3, 2, 4), tl.ones(1, 2, 2, 4), tl.ones(1, 2, 2, 4)
    ),
    "where": lambda: tl.where(tl.tensor([True] * 2), tl.ones(3), 0.0),
    "arange": lambda: tl.arange(0, 5, -1),
    "expand": lambda: tl.ones(2).expand(3),
    "copy_": lambda: tl.ones(2).copy_(tl.ones(3)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_name_the_op(name):
    with pytest.raises(ShapeError, match=rf"^{name}: expected .*, got "):
        WRONG[name]()


WRONG_DTYPES = {
    "mean": lambda: tl.arange(3).mean(),
    "softmax": lambda: tl.arange(3).softmax(),
    "rms_norm": lambda: tl.rms_norm(tl.arange(3)),
    "matmul": lambda: tl.ones(2) @ tl.arange(2),
    "where": lambda: tl.where(tl.arange(3), 1, 0),
    "bitwise_and": lambda: tl.ones(2) & tl.ones(2),
    "bitwise_not": lambda: ~tl.ones(2),
    "neg": lambda: -tl.tensor([True]),
    "add": lambda: tl.ones(2) + tl.zeros(32).to("q8_0"),
    "sum": lambda: tl.zeros(32).to("q8_0").sum(),
}


@pytest.mark.parametrize("name", WRONG_DTYPES)
def test_wrong_dtypes_name_the_op(name):
    with pytest.raises(DTypeError, match=rf"^{name}: expected .*, got "):
        WRONG_DTYPES[name]()


def test_every_error_is_tallows_and_pythons():
    for error, base in itertools.product([ShapeError], [TallowError, ValueError]):
        assert issubclass(error, base)
    assert issubclass(DTypeError, TypeError) and issubclass(OutOfMemoryError, MemoryError)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: tl.Tensor([1, 2]), [1.0, 2.0]),
        (lambda: tl.Tensor([[1.5], [2]]), [[1.5], [2.0]]),
        (lambda: tl.Tensor(range(3)), [0.0, 1.0, 2.0]),
        (lambda: tl.Tensor(tl.arange(2)), [0, 1]),
        (lambda: tl.Tensor(), []),
    ],
)
def test_pytorchs_constructor_of_values(made, expected):
    assert made().tolist() == expected


def test_pytorchs_constructor_of_sizes():
    assert tl.Tensor(2, 3).shape == (2, 3) and tl.Tensor(2, 3).dtype is tl.f32
    assert tl.Tensor(4).shape == (4,)
    x = tl.ones(2, requires_grad=True)
    shared = tl.Tensor(x)
    assert not shared.requires_grad and shared.data_ptr() == x.data_ptr()

    class Mine(tl.Tensor):
        pass

    assert type(Mine([1.0])) is Mine


def test_one_number_is_formatted_as_python_does():
    loss = tl.tensor(0.123456, requires_grad=True)
    said = f"{loss:.4f} {loss * 2:8.3f} {tl.tensor(7):d} {tl.tensor(True)}"
    assert said == "0.1235    0.247 7 True"
    assert f"{tl.ones(2)}" == str(tl.ones(2))
    with pytest.raises(TypeError):
        f"{tl.ones(2):.2f}"


def test_types_by_pytorchs_names():
    assert tl.arange(2).type() == "torch.LongTensor" and tl.ones(1).type() == "torch.FloatTensor"
    assert tl.arange(2).type(tl.Tensor).dtype is tl.f32
    assert tl.ones(1).to("cpu", non_blocking=True).is_cuda is False
    assert tl.ones(1).to(tl.f64, non_blocking=True).dtype is tl.f64


@pytest.mark.parametrize(
    ("data", "expected", "dtype"),
    [
        (range(1, 7, 2), [1, 3, 5], tl.i64),
        (collections.deque([1.5, 2.0]), [1.5, 2.0], tl.f32),
    ],
)
def test_tensors_of_other_sequences(data, expected, dtype):
    made = tl.tensor(data)
    assert made.tolist() == expected and made.dtype is dtype


@pytest.mark.parametrize("ask", ["size", "stride"])
@pytest.mark.parametrize("dim", [2, -3, "rows", 1.0])
def test_an_axis_that_is_not_there_is_named(ask, dim):
    with pytest.raises(IndexRangeError, match=rf"{ask}: expected an axis in \[-2, 1\], got"):
        getattr(tl.ones(2, 3), ask)(dim)
    with pytest.raises(IndexRangeError, match="0-d"):
        getattr(tl.ones(()), ask)(0)
