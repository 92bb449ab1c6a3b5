"""Transformed kernels give what the convolution gives, and follow their weights."""

import pytest

import tallow as tl
from plan.rewriting import calls, draw
from tallow import _native
from tallow.nn import functional as F
from tallow.plan.rewrites import REWRITES
from tallow.plan.rewrites.graph import Graph

pytestmark = pytest.mark.skipif(
    "conv_transformed" not in dict(_native.kernel_names()), reason="vectors too short for it"
)


def capture(fn, *examples, weight, rewrites=("conv_epilogues", "winograd", "once")):
    return tl.capture(fn, *examples, weights={"w": weight}, rewrites=rewrites)


def assert_near(a, b):
    assert a.shape == b.shape
    tolerance = REWRITES["winograd"].tolerance
    assert (a - b).abs().max().item() <= tolerance * b.abs().max().item()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [(6, 8), (7, 7), (14, 15)], ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_transformed_kernel_gives_the_same(batch, groups, size, threads):
    weight = draw(56, 56 // groups, 3, 3)

    def fn(x, y):
        return (F.conv2d(x, weight, padding=1, groups=groups) + y).relu()

    before = tl.num_threads()
    tl.set_num_threads(threads)
    try:
        plan = capture(fn, draw(batch, 56, *size), draw(batch, 56, *size), weight=weight)
        assert calls(plan) == ["winograd_weight", "conv_transformed"]
        for seed in (0.3, 1.9):
            given = draw(batch, 56, *size, seed=seed), draw(batch, 56, *size, seed=seed + 0.1)
            assert_near(plan(*given), fn(*given))
            weight.mul_(1.5)
    finally:
        tl.set_num_threads(before)


@pytest.mark.parametrize("act", ["relu", "relu6", "gelu", "none"])
@pytest.mark.parametrize(
    ("dilation", "padding", "size"),
    [
        ((2, 1), 1, (26, 17)),
        ((1, 3), (1, 3), (12, 31)),
        ((2, 2), 2, (20, 19)),
        ((4, 3), (0, 7), (40, 35)),
        ((2, 5), (9, 1), (11, 44)),
    ],
    ids=str,
)
def test_a_dilated_kernel_gives_the_same(dilation, padding, size, act):
    weight, bias = draw(32, 24, 3, 3), draw(32, seed=0.7)
    end = {"none": lambda x: x}.get(act) or getattr(F, act)

    def fn(x, *more):
        made = F.conv2d(x, weight, bias, padding=padding, dilation=dilation)
        return end(sum(more, made))

    shape = fn(draw(2, 24, *size)).shape
    for more in [(), (shape,)]:
        given = [draw(2, 24, *size), *(draw(*s) for s in more)]
        plan = capture(fn, *given, weight=weight)
        assert calls(plan) == ["winograd_weight", "conv_transformed"]
        assert_near(plan(*given), fn(*given))


@pytest.mark.parametrize(("size", "products", "most"), [(7, 16, 3e-6), (28, 36, 1e-5)])
def test_how_far_a_result_is_from_the_exact_one(size, products, most):
    weight, x = draw(64, 256, 3, 3), draw(1, 256, size, size, seed=0.4)
    plan = capture(lambda x: F.conv2d(x, weight, padding=1), x, weight=weight)
    graph = Graph(plan._native)
    assert graph.values[graph.calls[0].args[0][1]].shape == (products, 64, 256)
    exact = F.conv2d(x.to(tl.f64), weight.to(tl.f64), padding=1)
    assert (plan(x).to(tl.f64) - exact).abs().max().item() <= most * exact.abs().max().item()


def test_sixteen_channels_are_enough():
    weight = draw(16, 16, 3, 3)
    plan = capture(lambda x: F.conv2d(x, weight, padding=1), draw(1, 16, 30, 26), weight=weight)
    assert calls(plan) == ["winograd_weight", "conv_transformed"]
    x = draw(1, 16, 30, 26, seed=0.6)
    assert_near(plan(x), F.conv2d(x, weight, padding=1))


def conv(shape, **options):
    weight = draw(*shape)
    return weight, lambda x: F.conv2d(x, weight, **options)


@pytest.mark.parametrize(
    ("shape", "options", "x"),
    [
        ((32, 32, 3, 3), {"stride": 2}, (1, 32, 9, 9)),
        ((32, 32, 3, 3), {"dilation": 2}, (1, 32, 9, 9)),
        ((32, 32, 5, 5), {}, (1, 32, 9, 9)),
        ((32, 32, 3, 1), {}, (1, 32, 9, 9)),
        ((8, 32, 3, 3), {}, (1, 32, 9, 9)),  # few channels
        ((32, 8, 3, 3), {}, (1, 8, 9, 9)),
        ((32, 32, 3, 3), {}, (1, 32, 4, 4)),  # few tiles
    ],
    ids=str,
)
def test_others_stay(shape, options, x):
    weight, fn = conv(shape, **options)
    assert calls(capture(fn, draw(*x), weight=weight)) == ["conv"]


def test_a_kernel_that_is_an_input_stays():
    plan = tl.capture(
        lambda x, w: F.conv2d(x, w), draw(1, 32, 9, 9), draw(32, 32, 3, 3), rewrites=True
    )
    assert calls(plan) == ["conv"]
