"""The most likely of a linear layer's classes, beside softmax in float64."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import TallowError

KERNEL = "linear_most_likely"
SIZES = {  # rows, depth, classes
    "one of one": ((1,), 1, 1),
    "a row without an axis": ((), 5, 40),
    "a panel": ((7,), 12, 16),
    "a class beyond a panel": ((3, 4), 9, 17),
    "a chunk": ((48,), 20, 256),
    "a class beyond a chunk": ((49,), 20, 257),
    "many classes": ((40,), 120, 5000),
    "rows of several blocks": ((800,), 3, 300),
    "no row": ((2, 0), 3, 8),
}


def packed(weight):
    """The panels of conv_last_weight of (classes, depth)."""
    n, k = weight.shape
    out = np.zeros((-(-n // 16), k, 16), np.float32)
    for c in range(n):
        out[c // 16, :, c % 16] = weight[c]
    return out


def run(x, weight, bias=None, classes=None, **given):
    """Places and probabilities."""
    shape = x.shape[:-1]
    index = given.get("index", np.full(shape, -7, np.int64))
    probability = given.get("probability", np.full(shape, np.nan, np.float32))
    panels = given["panels"] if "panels" in given else packed(weight)
    arrays = [tl.from_numpy(a)._array for a in (index, probability, x, panels)]
    ends = None if bias is None else tl.from_numpy(bias)._array
    _native.call(KERNEL, *arrays, ends, len(weight) if classes is None else classes)
    return index, probability


def expected(x, weight, bias):
    """By numpy, in float64."""
    sums = x.astype(np.float64) @ weight.astype(np.float64).T
    sums = sums if bias is None else sums + bias
    top = sums.max(-1, keepdims=True)
    return sums.argmax(-1), 1 / np.exp(sums - top).sum(-1)


def drawn(shape, depth, classes, seed=0):
    draw = np.random.default_rng(seed)
    numbers = [(*shape, depth), (classes, depth), (classes,)]
    return [draw.standard_normal(n).astype(np.float32) for n in numbers]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_as_softmax_in_float64(size, biased, threads):
    x, weight, bias = drawn(*SIZES[size])
    bias = bias if biased else None
    before = _native.set_thread_limit(threads)
    try:
        index, probability = run(x, weight, bias)
    finally:
        _native.set_thread_limit(before)
    place, sure = expected(x, weight, bias)
    assert np.array_equal(index, place)
    np.testing.assert_allclose(probability, sure, rtol=3e-5)


def test_a_row_does_not_depend_on_those_beside_it():
    x, weight, bias = drawn((100,), 30, 700)
    index, probability = run(x, weight, bias)
    for i in (0, 5, 47, 48, 99):
        one = run(x[i : i + 1].copy(), weight, bias)
        assert (one[0][0], one[1][0]) == (index[i], probability[i])


def test_rows_of_any_strides():
    x, weight, bias = drawn((3, 2, 5), 30, 40)
    wanted = run(x, weight, bias)
    turned = [
        np.ascontiguousarray(x.transpose(3, 0, 2, 1)).transpose(1, 3, 2, 0),
        np.ascontiguousarray(x[..., ::-1])[..., ::-1],
        np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3),
    ]
    for given in turned:
        index, probability = run(given, weight, bias)
        assert np.array_equal(index, wanted[0])
        assert np.array_equal(probability, wanted[1])
    index, _ = run(np.broadcast_to(x[:1], x.shape), weight, bias)
    assert np.array_equal(index[2], wanted[0][0])


def test_the_first_of_equal_ones():
    x, weight = np.ones((2, 4), np.float32), np.ones((600, 4), np.float32)
    weight[300] = weight[301] = weight[599] = 2
    index, probability = run(x, weight)
    assert index.tolist() == [300, 300]
    np.testing.assert_allclose(probability, 1 / (3 + 597 * np.exp(-4)), rtol=1e-6)
    assert run(x, np.ones((600, 4), np.float32))[0].tolist() == [0, 0]


@pytest.mark.parametrize("far", [-1e4, -90.0, 3e38, np.inf])
def test_classes_far_below_the_largest(far):
    x = np.array([[1.0], [-1.0]], np.float32)
    bias = np.zeros(700, np.float32)
    weight = np.full((700, 1), 0, np.float32)
    bias[650], bias[651] = abs(far) if np.isfinite(far) else 0, -np.inf
    index, probability = run(x, weight, bias)
    assert index.tolist() == ([650, 650] if np.isfinite(far) else [0, 0])
    np.testing.assert_allclose(probability, 1.0 if np.isfinite(far) else 1 / 699, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 300, 599])
def test_nan_as_of_softmax(value, at):
    x, weight, bias = drawn((3,), 8, 600)
    bias[at] = value
    index, probability = run(x, weight, bias)
    assert index.tolist() == [0, 0, 0]
    assert np.isnan(probability).all()


def test_rows_of_nan_and_of_nothing_that_can_be():
    x, weight, _ = drawn((3,), 8, 600)
    x[1] = np.nan
    index, probability = run(x, weight)
    assert np.isnan(probability).tolist() == [False, True, False]
    index, probability = run(x, weight, np.full(600, -np.inf, np.float32))
    assert index.tolist() == [0, 0, 0]
    assert np.isnan(probability).all()


X, WEIGHT, _ = drawn((4,), 6, 20)
REFUSED = {
    "another number of classes": {"classes": 40},
    "no class": {"classes": 0},
    "fewer than none": {"classes": -(2**62)},
    "more than there can be": {"classes": 2**62},
    "another depth": {"panels": np.zeros((2, 7, 16), np.float32)},
    "no depth": {"panels": np.zeros((2, 0, 16), np.float32)},
    "double weights": {"panels": np.zeros((2, 6, 16))},
    "a weight of strides": {"panels": np.zeros((2, 6, 32), np.float32)[..., ::2]},
    "fewer places": {"index": np.zeros(3, np.int64)},
    "places of two axes": {"index": np.zeros((4, 1), np.int64)},
    "more rows": {"index": np.zeros(8, np.int64), "probability": np.zeros(8, np.float32)},
    "places in i32": {"index": np.zeros(4, np.int32)},
    "places of strides": {"index": np.zeros(8, np.int64)[::2]},
    "double probabilities": {"probability": np.zeros(4)},
    "a bias too short": {"bias": np.zeros(19, np.float32)},
    "a bias of strides": {"bias": np.zeros(40, np.float32)[::2]},
    "probabilities on x": {"probability": X.reshape(-1)[:4]},
    "probabilities on the places": {},
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    given = dict(REFUSED[what])
    if what == "probabilities on the places":
        memory = np.zeros(4, np.int64)
        given = {"index": memory, "probability": memory.view(np.float32)[:4]}
    with pytest.raises(TallowError, match=f"{KERNEL}: expected"):
        run(X, WEIGHT, given.pop("bias", None), given.pop("classes", None), **given)
