"""Copies of tensors by `copy` and `pickle`, as torch 2.13 makes them."""

from __future__ import annotations

import copy
import pickle

import pytest

import tallow as tl
from tallow.errors import GradError


def pickled(x):
    return pickle.loads(pickle.dumps(x))


VIEWS = {
    "transposed": lambda x: x.T,
    "tail": lambda x: x[1:, 2:],
    "step": lambda x: x[::2, ::3],
    "expanded": lambda x: x[:1].expand(3, 4),
    "scalar": lambda x: x[1, 2],
    "empty": lambda x: x[:0],
    "flipped": lambda x: tl.from_numpy(x.numpy()[::-1, ::-1]),
}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("dtype", ["f32", "bool", "i64", "bf16", "complex64"])
@pytest.mark.parametrize("view", VIEWS)
def test_values_and_strides_stay(view, dtype, again):
    x = VIEWS[view](tl.arange(12).reshape(3, 4).to(dtype))
    made = again(x)
    assert made.dtype is x.dtype and made.shape == x.shape
    assert made.tolist() == x.tolist()
    if x.numel():
        assert made.stride() == x.stride()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_requires_grad_stays(again):
    x = tl.ones(3, requires_grad=True)
    made = again(x)
    assert made.requires_grad and made.is_leaf and made is not x
    assert not again(tl.ones(3)).requires_grad
    made.sum().backward()
    assert x.grad is None


def test_deepcopy_takes_the_gradient_along():
    x = tl.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    made = copy.deepcopy(x)
    assert made.grad.tolist() == [2, 2, 2]
    made.grad.zero_()
    assert x.grad.tolist() == [2, 2, 2]
    assert pickled(x).grad is None and copy.copy(x).grad is None


def test_deepcopy_refuses_results_and_pickle_makes_leaves_of_them():
    y = tl.ones(3, requires_grad=True) * 2
    for value in (y, [y], {"y": y}):
        with pytest.raises(GradError, match="expected a leaf"):
            copy.deepcopy(value)
    assert pickled(y).requires_grad and pickled(y).is_leaf
    assert copy.deepcopy(y.detach()).tolist() == [2, 2, 2]


def test_what_shares_memory_shares_its_copy():
    x = tl.arange(12).to("f32").reshape(3, 4)
    whole, row, column, raw = copy.deepcopy([x, x[1], x.T[2], x.view("i32")])
    whole[1, 2] = 100
    assert row[2] == 100 and column[1] == 100 and raw[1, 2] != 0
    assert raw.view("f32").tolist() == whole.tolist()
    assert x[1, 2] == 6
    row_first, whole_after = copy.deepcopy((x[2], x))
    row_first.zero_()
    assert whole_after.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 0, 0, 0]]


def test_one_tensor_twice_is_one_copy():
    x = tl.ones(2)
    a, b = copy.deepcopy((x, x))
    assert a is b and a is not x
    c, d = pickled((x, x))
    assert c is d


def test_a_shallow_copy_shares_memory():
    x = tl.zeros(3)
    copy.copy(x)[0] = 5
    assert x.tolist() == [5, 0, 0]


def test_memory_that_is_borrowed_is_not_written_to():
    data = bytes(16)
    x = tl.from_buffer(data, "f32", (3,), 4)
    a, b = copy.deepcopy((x, x[1:]))
    a.fill_(1)
    assert b.tolist() == [1, 1] and x.tolist() == [0, 0, 0] and data == bytes(16)
    odd = tl.from_buffer(bytes(9), "f32", (2,), 1)
    assert copy.deepcopy(odd).tolist() == pickled(odd).tolist() == [0, 0]


def test_blocks():
    x = tl.ones(2, 32).to("q8_0")
    for again in (copy.copy, copy.deepcopy, pickled):
        assert again(x).dtype is x.dtype and again(x).to("f32").tolist() == x.to("f32").tolist()


def test_functions_survive_pickle_and_copies():
    for function in (tl.exp, tl.ops.rms_norm, tl.linalg.inv, tl.nn.functional.gelu):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.copy(function) is function and copy.deepcopy(function) is function
