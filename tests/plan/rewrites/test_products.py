"""Products of the same activations become one call, where nothing differs."""

import pytest

import tallow as tl
from models.conftest import Golden
from plan.rewriting import bits, calls, check, draw
from tallow.generate.step import DecodeStep

SEVERAL = ["linear_several"]
FORMATS = ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q8_0", "q4_k", "q6_k"]


def weight(rows, columns, name, seed):
    return draw(rows, columns, seed=seed).to(getattr(tl, name))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_two_and_three_products_have_the_same_bits(name, exact, rows):
    sizes = (40, 7, 16)  # of whole and broken groups of rows
    weights = [weight(n, 256, name, seed) for n, seed in zip(sizes, (0.3, 0.7, 1.1), strict=True)]
    bias = draw(7, seed=0.2)
    x = draw(rows, 256)

    def three(x):
        a, b, c = weights
        return (
            tl.linear(x, a, exact=exact),
            tl.linear(x, b, bias, exact=exact),
            tl.linear(x, c, exact=exact),
        )

    def two(x):
        return tl.linear(x, weights[0], exact=exact), tl.linear(x, weights[1], bias, exact=exact)

    assert check(three, x, rewrites=SEVERAL) == ["linear_several"]
    assert check(two, x, rewrites=SEVERAL) == ["linear_several"]


W = [draw(64, 64, seed=seed) for seed in (0.3, 0.7, 1.1, 1.3, 1.7)]


def test_five_products_are_a_three_and_a_pair():
    def fn(x):
        return tuple(tl.linear(x, w) for w in W)

    assert check(fn, draw(2, 64), rewrites=SEVERAL) == ["linear_several"] * 2


def test_what_lies_between_goes_behind():
    def fn(x):
        a = tl.linear(x, W[0]).exp()
        b = tl.linear(x, W[1])
        return a + b, b

    assert check(fn, draw(2, 64), rewrites=SEVERAL) == ["linear_several", "exp", "add"]


def depends(x):
    return tl.linear(x, tl.linear(x, W[0])[:, :64].contiguous())


def writes_x(x):
    a = tl.linear(x, W[0])
    x.mul_(0.5)
    return a, tl.linear(x, W[1])


def writes_the_weight(x):
    w = W[1] * 1
    a = tl.linear(x, W[0])
    w.mul_(0.5)
    return a, tl.linear(x, w)


def other_rows(x):
    return tl.linear(x[:32], W[0]), tl.linear(x[32:], W[1])


def other_dtypes(x):
    return tl.linear(x, W[0]), tl.linear(x, W[1].half())


def other_precision(x):
    return tl.linear(x, W[0], exact=True), tl.linear(x, W[1])


@pytest.mark.parametrize(
    "fn",
    [depends, writes_x, writes_the_weight, other_rows, other_dtypes, other_precision],
)
def test_other_products_stay_apart(fn):
    assert "linear_several" not in check(fn, draw(64, 64), rewrites=SEVERAL)


def test_what_follows_from_weights_alone_is_not_joined_with_the_rest():
    weights = {"w": draw(64, 64), "v": draw(64, 64, seed=0.3)}

    def fn(x):
        w, v = weights["w"], weights["v"]
        return tl.linear(w, v) + tl.linear(w, x)

    found = check(fn, draw(64, 64), weights=weights, rewrites=["once", *SEVERAL])
    assert found == ["linear", "linear", "add"]


def test_one_product_stays_as_it_is():
    assert check(lambda x: tl.linear(x, W[0]), draw(2, 64), rewrites=SEVERAL) == ["linear"]


@pytest.mark.parametrize("form", ["hf", "q4_0"])
def test_a_decode_step_joins_products(form):
    model = Golden("llama").load(form)
    step = DecodeStep(model, model.make_state(1, 32))
    state = model.make_state(1, 32)
    for token in (3, 1, 4, 1, 5):
        with tl.inference_mode():
            state.reserve(1)
            wanted = model.head(model.decode(tl.tensor([[token]]), state)).squeeze(1)
            state.commit(1)
        assert bits(step([token])) == bits(wanted)
    assert calls(step._plan).count("linear_several") == 2 * len(model.model.layers)
