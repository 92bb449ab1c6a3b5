"""Ops whose results the native core settles: what they take as axes, dtypes and operands."""

import numpy as np
import pytest

import tallow as tl
from tallow.errors import DTypeError, IndexRangeError, NoKernelError, ShapeError

X = tl.tensor([[1.0, 2.0], [3.0, 4.0]])
PACKED = tl.zeros(2, 32).to("q8_0")


@pytest.mark.parametrize(
    "dim", [1, -1, [1], (1,), range(1, 2), np.int64(1), tl.tensor(1)], ids=repr
)
def test_an_axis_is_what_has_an_index(dim):
    assert X.sum(dim).tolist() == [3.0, 7.0]


@pytest.mark.parametrize("dim", [None, (), [], [0, 1], (-1, 0)], ids=repr)
def test_no_axis_is_every_axis(dim):
    assert X.sum(dim).tolist() == 10.0 and X.amax(dim, True).tolist() == [[4.0]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: X.sum(2), IndexRangeError, r"sum: expected an axis in \[-2, 1\], got 2"),
        (lambda: X.sum(2**70), IndexRangeError, f"got {2**70}"),
        (lambda: X.amax("a"), IndexRangeError, "amax: .*, got a"),
        (lambda: X.sum((0, -2)), ShapeError, "sum: expected each axis once"),
        (lambda: X.sum([0] * 40), ShapeError, "sum: expected each axis once"),
        (lambda: X.sum(1.5), TypeError, "an axis or a list of axes"),
        (lambda: X.argmax((0,)), ShapeError, "argmax: expected one axis"),
        (lambda: tl.sum(3), DTypeError, "sum: expected a Tensor, got int"),
        (lambda: tl.matmul(X, 3), DTypeError, "matmul: expected a Tensor"),
        (lambda: X @ X.to("f64"), DTypeError, r"two tensors of one dtype \(f32\), got f64"),
        (lambda: X @ tl.zeros(3), ShapeError, r"inner sizes that agree, got \(2, 2\) and \(3,\)"),
        (lambda: tl.zeros(2, 1, 2) @ tl.zeros(3, 2, 1), ShapeError, "shapes that broadcast"),
        (lambda: tl.tensor(1.0) @ X, ShapeError, "at least one axis"),
        (lambda: tl.zeros(0).amax(), IndexRangeError, "at least one element"),
        (lambda: tl.tensor([1]).mean(), DTypeError, "mean: expected a float dtype, got i64"),
        (lambda: PACKED.sum(), NoKernelError, "sum: expected a plain dtype, got q8_0"),
        (lambda: X.to("complex64").amax(), NoKernelError, "real numbers of a plain dtype"),
        (lambda: X.sum(dtype="f99"), DTypeError, "f99"),
        (lambda: X.sum(keepdim=tl.tensor([1, 0])), ShapeError, "expected one element"),
    ],
)  # fmt: skip
def test_refusals_tell_what_was_expected(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "any", "argmax"])
@pytest.mark.parametrize("keepdim", [False, True])
def test_meta_gives_what_the_cpu_gives(name, keepdim):
    here, there = (getattr(x, name)(-1, keepdim) for x in (X, X.to("meta")))
    assert (here.shape, here.dtype) == (there.shape, there.dtype)
    with pytest.raises(IndexRangeError, match="an axis in"):
        getattr(X.to("meta"), name)(2)
