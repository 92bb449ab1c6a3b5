"""Convolutions that sum over laid out rows without packing them, beside those in f64."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F
from ops.memory_orders import views_of

# Shape of the input; filters, kernel; stride, padding, dilation, groups.
CASES = {
    "one channel of many": ((2, 9, 17, 21), (1, 5, 5), 1, 2, 1, 1),
    "two channels": ((1, 3, 12, 70), (2, 3, 3), 1, 1, 1, 1),
    "three channels": ((1, 2, 9, 9), (3, 2, 4), 1, 0, 1, 1),
    "seven channels": ((1, 5, 8, 100), (7, 1, 7), 1, (0, 3), 1, 1),
    "a kernel wider than the image": ((1, 8, 6, 20), (8, 3, 39), 1, (1, 19), 1, 1),
    "both axes by two": ((2, 3, 33, 47), (16, 3, 3), 2, 1, 1, 1),
    "strides apart": ((1, 4, 20, 90), (5, 4, 5), (4, 3), (2, 1), 1, 1),
    "dilations": ((1, 3, 24, 30), (6, 3, 3), (1, 2), (3, 2), (3, 2), 1),
    "groups of four": ((2, 12, 15, 15), (12, 3, 3), 1, 1, 1, 3),
    "bands of rows": ((1, 40, 60, 50), (6, 3, 3), 1, 1, 1, 1),
    "more padding than image": ((1, 2, 3, 3), (4, 2, 2), 2, 5, 1, 1),
    "a long row": ((2, 6, 9000), (5, 7), 1, 3, 1, 1),
    "a long dilated row": ((1, 32, 3001), (32, 5), 1, 24, 12, 1),
    "a long row by four": ((1, 3, 20011), (20, 10), 4, 0, 1, 1),
    "a long row by eight": ((1, 3, 20011), (3, 16), 8, 4, 1, 1),
    "two depths": ((1, 3, 5, 9, 10), (4, 3, 3, 3), (2, 1, 1), 1, (1, 2, 1), 1),
}


def _made(case):
    shape, (filters, *kernel), *rest = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    size = (filters, shape[1] // rest[-1], *kernel)
    w = rng.standard_normal(size) / np.sqrt(np.prod(size[1:]))
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 1]
    return conv, x, w, rng.standard_normal(filters), rest


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_as_in_f64(case, bias):
    conv, x, w, b, rest = _made(case)
    b = tl.from_numpy(b) if bias else None
    exact = conv(tl.from_numpy(x), tl.from_numpy(w), b, *rest).numpy()
    w, b = tl.from_numpy(w.astype("f")), None if b is None else b.float()
    for view in views_of(x.astype("f")):
        np.testing.assert_allclose(conv(view, w, b, *rest).numpy(), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_halves_are_those_of_f32_rounded(case, dtype):
    conv, *arrays, rest = _made(case)
    halves = [tl.from_numpy(a.astype("f")).to(getattr(tl, dtype)) for a in arrays]
    exact = conv(*(a.float() for a in halves), *rest).to(halves[0].dtype)
    assert tl.equal(conv(*halves, *rest), exact)


@pytest.mark.parametrize("case", CASES)
def test_each_number_of_threads_gives_the_same_bits(case):
    conv, *arrays, rest = _made(case)
    arrays = [tl.from_numpy(a.astype("f")) for a in arrays]
    before, made = tl.num_threads(), []
    try:
        for threads in (1, 2, 3):
            tl.set_num_threads(threads)
            made.append(conv(*arrays, *rest))
    finally:
        tl.set_num_threads(before)
    assert tl.equal(made[0], made[1])
    assert tl.equal(made[0], made[2])


@pytest.mark.parametrize("stride", [1, 2])
def test_act_and_residual_of_a_compiled_convolution(stride):
    rng = np.random.default_rng(1)
    side = 15 if stride == 2 else 29
    x, w, y = (
        tl.from_numpy(rng.standard_normal(shape).astype("f"))
        for shape in [(2, 4, 29, 29), (6, 4, 3, 3), (2, 6, side, side)]
    )

    def run(x, y):
        made = F.conv2d(x, w, None, stride, 1)
        return F.silu(made), (made + y).relu(), F.relu6(F.conv2d(x, w, None, stride, 1))

    with tl.no_grad():
        wanted = run(x, y)
        compiled = tl.compile(run)
        for _ in range(3):
            for got, exact in zip(compiled(x, y), wanted, strict=True):
                np.testing.assert_allclose(got.numpy(), exact.numpy(), rtol=1e-5, atol=1e-5)


def test_far_dilations_lay_out_no_more_than_they_read():
    x, w = tl.ones(1, 2, 3, 3), tl.ones(2, 2, 3, 3)
    far = 1 << 30
    made = F.conv2d(x, w, None, 1, far, far)
    assert made.tolist() == [[[[2.0] * 3] * 3] * 2]


def test_inputs_that_repeat_one_element():
    x = tl.ones(1, 1, 1).expand(2, 3, 5000)
    made = F.conv1d(x, tl.ones(4, 3, 5), None, 1, 2)
    assert made[..., 2:-2].unique().tolist() == [15.0]
    assert made[0, 0, :2].tolist() == [9.0, 12.0]
