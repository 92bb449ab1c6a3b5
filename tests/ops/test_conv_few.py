"""Convolutions with few results for each channel, beside those in f64, which are products."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F
from ops.memory_orders import views_of

# Shape of the input; filters, kernel; stride, padding, dilation.
CASES = {
    "frames of sound": ((1, 1, 640), (258, 256), 128, 0, 1),
    "padded on both sides": ((1, 129, 4), (128, 3), 1, 1, 1),
    "by two": ((1, 128, 4), (64, 3), 2, 1, 1),
    "one of three inside": ((1, 64, 1), (128, 3), 1, 1, 1),
    "a gate": ((1, 50, 1, 1), (203, 1, 1), 1, 0, 1),
    "a gate of many": ((1, 130, 1, 1), (150, 1, 1), 1, 0, 1),
    "gates of a batch": ((7, 13, 1, 1), (9, 1, 1), 1, 0, 1),
    "whole images": ((3, 20, 3, 5), (17, 3, 5), 1, 0, 1),
    "three results": ((1, 6, 3), (11, 1), 1, 0, 1),
    "twelve deep results": ((2, 30, 2, 3), (10, 3, 3), 1, 1, 1),
    "strides and dilations": ((2, 24, 9, 11), (5, 3, 2), (4, 5), (2, 3), (3, 4)),
    "more padding than image": ((1, 2, 2, 1), (4, 2, 2), 3, 4, 1),
    "depths": ((1, 3, 3, 4, 5), (6, 2, 3, 3), (1, 2, 3), (0, 1, 1), (2, 1, 1)),
    "one element": ((1, 1, 1), (1, 1), 1, 0, 1),
    "one element of many": ((1, 1, 9), (3, 1), 9, 0, 1),
}


def _made(case):
    shape, (filters, *kernel), *rest = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    size = (filters, shape[1], *kernel)
    w = rng.standard_normal(size) / np.sqrt(np.prod(size[1:]))
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 1]
    return conv, x, w, rng.standard_normal(filters), rest


def _results(case):
    conv, x, w, _, rest = _made(case)
    made = conv(tl.from_numpy(x), tl.from_numpy(w), None, *rest).shape
    return made[0] * np.prod(made[2:])


def test_the_cases_have_few_results_and_all_numbers_of_them():
    assert {_results(case) for case in CASES} >= {1, 2, 3, 4, 7, 12}
    assert all(_results(case) <= 12 for case in CASES)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_as_in_f64(case, bias):
    conv, x, w, b, rest = _made(case)
    b = tl.from_numpy(b) if bias else None
    exact = conv(tl.from_numpy(x), tl.from_numpy(w), b, *rest).numpy()
    w, b = tl.from_numpy(w.astype("f")), None if b is None else b.float()
    for view in views_of(x.astype("f")):
        np.testing.assert_allclose(conv(view, w, b, *rest).numpy(), exact, rtol=0, atol=5e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_result_has_the_same_bits_alone_and_by_each_number_of_threads(case):
    conv, *arrays, rest = _made(case)
    x, w, b = (tl.from_numpy(a.astype("f")) for a in arrays)
    wide = tl.cat([w] * 40), tl.cat([b] * 40)  # enough for some threads
    before, made = tl.num_threads(), []
    try:
        for threads in (1, 2, 3):
            tl.set_num_threads(threads)
            made.append(conv(x, *wide, *rest))
    finally:
        tl.set_num_threads(before)
    assert tl.equal(made[0], made[1])
    assert tl.equal(made[0], made[2])
    assert tl.equal(made[0][:, : len(w)], conv(x, w, b, *rest))
    assert tl.equal(made[0][:1], conv(x[:1], *wide, *rest))


@pytest.mark.parametrize("act", ["relu", "relu6", "silu"])
@pytest.mark.parametrize("case", CASES)
def test_act_and_residual_of_a_compiled_convolution(case, act):
    conv, *arrays, rest = _made(case)
    x, w, b = (tl.from_numpy(a.astype("f")) for a in arrays)
    y = tl.randn(*conv(x, w, b, *rest).shape)
    end = getattr(F, act)

    def run(x, y):
        return end(conv(x, w, b, *rest)), end(conv(x, w, None, *rest) + y)

    with tl.no_grad():
        wanted = run(x, y)
        compiled = tl.compile(run)
        for _ in range(3):
            for got, exact in zip(compiled(x, y), wanted, strict=True):
                np.testing.assert_allclose(got.numpy(), exact.numpy(), rtol=1e-5, atol=1e-5)


def test_what_no_number_is_reaches_the_results_that_see_it():
    x = tl.ones(1, 2, 8)
    x[0, 1, 0] = float("nan")
    made = F.conv1d(x, tl.ones(5, 2, 3), None, 2, 1)
    assert made.isnan()[0].any(0).tolist() == [True, False, False, False]
    assert made[0, :, 1:].unique().tolist() == [6.0]
