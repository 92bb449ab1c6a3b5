"""Activations and residuals join the product or convolution before them, where nothing differs."""

import pytest

import tallow as tl
from plan.rewriting import check, draw
from tallow.nn import functional as F

LINEAR, CONV = ["linear_epilogues"], ["conv_epilogues"]
W, B = draw(16, 8), draw(16, seed=0.3)
ACTS = {
    "relu": tl.relu,
    "silu": tl.silu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": tl.sigmoid,
}
# (channels, filters, kernel, stride, padding, groups): product, Winograd, depthwise, few columns.
CONVS = [
    (3, 8, 7, 2, 3, 1),
    (8, 16, 1, 1, 0, 1),
    (8, 16, 3, 1, 1, 1),
    (8, 8, 3, 1, 1, 8),
    (8, 8, 5, 2, 2, 8),
    (19, 19, 3, 1, 1, 19),
    (8, 16, 3, 2, 1, 2),
]


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("act", ACTS)
def test_a_product_takes_activation_and_residual(act, rows):
    def fn(x, y):
        return ACTS[act](tl.linear(x, W, B)) + y

    examples = draw(rows, 8), draw(rows, 16)
    assert check(fn, *examples, rewrites=LINEAR) == ["linear_act"]
    assert check(lambda x, y: y + tl.linear(x, W), *examples, rewrites=LINEAR) == ["linear_act"]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("shape", CONVS, ids=str)
def test_a_convolution_takes_residual_and_activation(shape, act, batch):
    channels, filters, kernel, stride, padding, groups = shape
    weight, bias = draw(filters, channels // groups, kernel, kernel), draw(filters)
    x = draw(batch, channels, 13, 14)

    def conv(x):
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    y = draw(*conv(x).shape)
    act = ACTS[act]
    assert check(lambda x, y: act(conv(x) + y), x, y, rewrites=CONV) == ["conv_act"]
    assert check(lambda x: act(conv(x)), x, rewrites=CONV) == ["conv_act"]
    # Another order of the two is no end of the kernel.
    assert check(lambda x, y: act(conv(x)) + y, x, y, rewrites=CONV) == ["conv_act", "add"]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("side", [1, 5])
def test_a_convolution_of_whole_images_takes_residual_and_activation(side, act, batch):
    weight, bias, x = draw(16, 8, side, side), draw(16), draw(batch, 8, side, side)
    y, act = draw(batch, 16, 1, 1), ACTS[act]
    for b in (bias, None):
        assert check(lambda x, y, b=b: act(F.conv2d(x, weight, b) + y), x, y, rewrites=CONV) == [
            "conv_act"
        ]
        want = act(x.reshape(batch, -1) @ weight.reshape(16, -1).T + (0 if b is None else b))
        assert (act(F.conv2d(x, weight, b)).reshape(batch, 16) - want).abs().max().item() < 1e-4


def test_a_sum_of_two_convolutions_is_the_end_of_one():
    weight = draw(8, 8, 3, 3)

    def fn(x, y):
        return (F.conv2d(x, weight, padding=1) + F.conv2d(y, weight, padding=1)).relu()

    x = draw(1, 8, 9, 9)
    assert check(fn, x, x.clone(), rewrites=CONV) == ["conv", "conv_act"]


def test_three_axes_and_one_take_an_end():
    for shape, conv in (((2, 3, 9), F.conv1d), ((2, 3, 5, 6, 7), F.conv3d)):
        weight = draw(4, 3, *[3] * (len(shape) - 2))
        fn = lambda x, conv=conv, weight=weight: conv(x, weight).relu()  # noqa: E731
        assert check(fn, draw(*shape), rewrites=CONV) == ["conv_act"]


def product(x):
    return tl.linear(x, W)


def branches(x, y):
    h = product(x)
    return h.relu() + h


def as_result(x, y):
    h = product(x)
    return h, h + y


def writes_between(x, y):
    h = product(x)
    x.zero_()
    return h + y


def writes_the_result(x, y):
    h = product(x)
    h[:, :3].zero_()
    return h + y


def reads_a_part(x, y):
    return product(x)[:, :4].relu()


def broadcasts(x, y):
    return product(x) + y[:1]


def strided(x, y):
    return product(x) + y.T.contiguous().T


def doubles(x, y):
    h = product(x)
    return h + h


def converts(x, y):
    return product(x).half().relu()


def into_what_is_read(x, y):
    square = draw(8, 8)
    x.copy_(x)
    x.add_(tl.linear(x, square))
    return x * 1


def transposes(x, y):
    return product(x).T.relu()


@pytest.mark.parametrize(
    "fn",
    [branches, as_result, writes_between, writes_the_result, reads_a_part, broadcasts, strided,
     doubles, converts, into_what_is_read, transposes],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_what_is_no_end_stays(fn):
    assert "linear" in check(fn, draw(5, 8), draw(5, 16), rewrites=LINEAR)


def test_a_sum_into_the_residual_is_one():
    def fn(x, y):
        y.add_(tl.linear(x, W))
        return y * 1

    names = check(fn, draw(5, 8), draw(5, 16), rewrites=LINEAR)
    assert names == ["linear", "add", "mul"]  # y may lie on x, which the tables do not tell


def test_half_floats_stay():
    half = W.half()
    fn = lambda x: tl.linear(x.half(), half).relu()  # noqa: E731
    assert "linear" in check(fn, draw(5, 8), rewrites=LINEAR)
