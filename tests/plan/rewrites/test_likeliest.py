"""A product, softmax, and the largest element with its place become one call."""

import pytest

import tallow as tl
from plan.rewriting import calls, draw

PASSES = ["likeliest"]
JOINED = ["conv_last_weight", "linear_most_likely"]
WEIGHT, BIAS = draw(300, 8, seed=1.7), draw(300)


def ends(probability):
    return probability.argmax(-1), probability.amax(-1)


def plan_of(fn, *examples, weights=None):
    return tl.capture(fn, *examples, rewrites=PASSES, weights=weights or {"w": WEIGHT, "b": BIAS})


def same(plan, fn, *shape):
    for seed in (0.3, 1.1, 2.3):
        x = draw(*shape, seed=seed)
        for got, wanted in zip(plan(x), fn(x), strict=True):
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            assert float((got.float() - wanted.float()).abs().max()) < 1e-6


@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8), (1, 8)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_four_calls_become_one(shape, turned):
    weight = draw(8, 300, seed=1.7) if turned else WEIGHT

    def fn(x):
        return ends(tl.linear(x, weight.T if turned else weight, BIAS).softmax(-1))

    plan = plan_of(fn, draw(*shape), weights={"w": weight, "b": BIAS})
    assert calls(plan) == JOINED
    same(plan, fn, *shape)


def test_without_a_bias_and_with_kept_axes():
    def fn(x):
        probability = tl.linear(x, WEIGHT).softmax(-1)
        return probability.amax(-1, keepdim=True), probability.argmax(-1, keepdim=True)

    plan = plan_of(fn, draw(4, 8))
    assert calls(plan) == JOINED
    same(plan, fn, 4, 8)


def test_rows_that_are_columns_in_memory():
    def fn(x):
        return ends(tl.linear(x.T, WEIGHT, BIAS).softmax(-1))

    plan = plan_of(fn, draw(8, 5))
    assert calls(plan) == JOINED
    same(plan, fn, 8, 5)


def test_a_new_weight_counts():
    weight = draw(40, 8)

    def fn(x):
        return ends(tl.linear(x, weight).softmax(-1))

    plan = tl.capture(fn, draw(3, 8), rewrites=[*PASSES, "once"], weights={"w": weight})
    same(plan, fn, 3, 8)
    weight.copy_(draw(40, 8, seed=5.1))
    same(plan, fn, 3, 8)


STAY = {
    "probabilities are a result": lambda x: (
        *ends(p := tl.linear(x, WEIGHT, BIAS).softmax(-1)), p),
    "sums are a result": lambda x: (s := tl.linear(x, WEIGHT, BIAS), *ends(s.softmax(-1))),
    "the place alone": lambda x: (tl.linear(x, WEIGHT, BIAS).softmax(-1).argmax(-1),),
    "the largest twice": lambda x: (
        *ends(p := tl.linear(x, WEIGHT, BIAS).softmax(-1)), p.amax(-1)),
    "another axis": lambda x: ends(tl.linear(x, WEIGHT, BIAS).softmax(0)),
    "the largest of another axis": lambda x: (
        (p := tl.linear(x, WEIGHT, BIAS).softmax(-1)).argmax(-1), p.amax(0)),
    "the logarithm": lambda x: ends(tl.linear(x, WEIGHT, BIAS).log_softmax(-1)),
    "a weight that is computed": lambda x: ends(tl.linear(x, x * 2).softmax(-1)),
    "double": lambda x: ends(tl.linear(x.double(), WEIGHT.double()).softmax(-1)),
}  # fmt: skip


@pytest.mark.parametrize("what", STAY)
def test_what_needs_the_others_stays(what):
    plan = plan_of(STAY[what], draw(4, 8))
    assert not {*JOINED} & {*calls(plan)}
    same(plan, STAY[what], 4, 8)
