"""Batch norms become part of the convolution before them, and follow their weights."""

import pytest

import tallow as tl
from plan.rewriting import calls, draw
from tallow import nn
from tallow.nn import functional as F
from tallow.plan.rewrites import REWRITES


def network(bias):
    conv, norm = nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6)
    with tl.no_grad():
        norm.running_mean.copy_(draw(6))
        norm.running_var.copy_(draw(6, seed=0.2).square() + 0.5)
        norm.weight.copy_(draw(6, seed=1.3) + 1.5)
        norm.bias.copy_(draw(6, seed=0.9))
    return nn.Sequential(conv, norm).eval()


def assert_near(a, b):
    assert a.shape == b.shape
    tolerance = REWRITES["batch_norms"].tolerance
    assert (a - b).abs().max().item() <= tolerance * b.abs().max().item()


def plan_of(fn, *examples, **options):
    with tl.inference_mode():
        return tl.capture(fn, *examples, rewrites=["batch_norms", "once"], **options)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_convolution_is_left(bias, batch):
    model = network(bias)
    plan = plan_of(model, draw(batch, 3, 8, 9))
    assert calls(plan)[plan._native.once :] == ["conv"]
    x = draw(batch, 3, 8, 9, seed=1.9)
    with tl.inference_mode():
        assert_near(plan(x), model(x))


@pytest.mark.parametrize("name", ["0.weight", "1.weight", "1.bias", "1.running_mean"])
def test_changed_weights_are_folded_anew(name):
    model = network(False)
    x = draw(1, 3, 8, 9)
    plan = plan_of(model, x.clone())
    plan.run()
    with tl.inference_mode():
        model.state_dict()[name].mul_(1.5)
        assert_near(plan(x), model(x))


WEIGHT = draw(6, 3, 3, 3)
MEAN, VAR, SCALE, SHIFT = draw(6), draw(6, seed=0.3).abs() + 0.5, draw(6, seed=0.4), draw(6)


def conv(x):
    return F.conv2d(x, WEIGHT)


def affine(x, s):
    return F.batch_norm(conv(x), MEAN, VAR, SCALE, SHIFT)


def without_weight(x, s):
    return F.batch_norm(conv(x), MEAN, VAR, None, SHIFT, eps=1e-3)


def without_bias(x, s):
    return F.batch_norm(conv(x), MEAN, VAR, SCALE)


def scale_from_input(x, s):
    return F.batch_norm(conv(x), MEAN, VAR, s, SHIFT)


def mean_from_input(x, s):
    return F.batch_norm(conv(x), s, VAR, SCALE, SHIFT)


def read_twice(x, s):
    h = conv(x)
    return F.batch_norm(h, MEAN, VAR, SCALE, SHIFT) + h


def viewed(x, s):
    h = conv(x)
    return F.batch_norm(h.reshape(1, 6, 4, 9), MEAN, VAR, SCALE, SHIFT)


def other_channels(x, s):
    return F.batch_norm(conv(x).transpose(1, 2), MEAN, VAR, SCALE, SHIFT)


def input_written(x, s):
    h = conv(x)
    x.zero_()
    return F.batch_norm(h, MEAN, VAR, SCALE, SHIFT)


FOLDED = [affine, without_weight, without_bias]
NOT = [scale_from_input, mean_from_input, read_twice, viewed, other_channels, input_written]


@pytest.mark.parametrize("fn", FOLDED + NOT, ids=lambda f: f.__name__)
def test_only_what_is_a_norm_by_channel_is_folded(fn):
    weights = {"w": WEIGHT, "m": MEAN, "v": VAR, "s": SCALE, "b": SHIFT}
    plan = plan_of(fn, draw(1, 3, 8, 8), draw(6), weights=weights)
    assert ("batch_norm" in calls(plan)[plan._native.once :]) == (fn in NOT)
    given = draw(1, 3, 8, 8, seed=1.7), draw(6, seed=2.1)
    got = plan(*[x.clone() for x in given])
    assert_near(got, fn(*[x.clone() for x in given]))


def test_exact_passes_leave_norms():
    model = network(False)
    compiled = tl.compile(model, rewrites="exact")
    x = draw(1, 3, 8, 9)
    with tl.inference_mode():
        compiled(x)
        assert compiled(x)._array.raw_bytes() == model(x)._array.raw_bytes()
