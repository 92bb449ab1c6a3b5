"""What follows from weights is computed when they change, and only then."""

import pytest

import tallow as tl
from plan.rewriting import bits, check, draw
from tallow.errors import ArgumentError


def folded(weight):
    return lambda t: t * (weight.exp() + 1)


def test_what_follows_from_weights_is_computed_when_they_change():
    weight = draw(3)
    plan = tl.capture(folded(weight), tl.ones(3), weights={"w": weight}, rewrites=["once"])
    assert plan._native.once == 2
    assert plan.memory()["kept"] > 0
    skipped = dict(plan._native.profile())
    assert skipped["exp"] > 0  # the first run
    skipped = dict(plan._native.profile())
    assert skipped["exp"] == 0
    for value in (0.5, 2.0):
        weight.fill_(value)
        for _ in range(2):
            assert bits(plan(tl.ones(3))) == bits(folded(weight)(tl.ones(3)))


def test_weights_written_through_a_view_count():
    weight = draw(2, 3)
    plan = tl.capture(folded(weight), tl.ones(2, 3), weights={"w": weight}, rewrites=["once"])
    plan.run()
    weight.view(-1)[4:].zero_()
    assert bits(plan(tl.ones(2, 3))) == bits(folded(weight)(tl.ones(2, 3)))


def test_weights_lent_to_numpy_are_read_at_each_run():
    weight = draw(3)
    plan = tl.capture(folded(weight), tl.ones(3), weights={"w": weight}, rewrites=["once"])
    plan.run()
    weight.numpy()[:] = 3
    assert bits(plan(tl.ones(3))) == bits(folded(weight)(tl.ones(3)))


def test_weights_borrowed_from_numpy_are_read_at_each_run():
    import numpy as np

    own = np.ones(3, np.float32)
    weight = tl.from_numpy(own)
    plan = tl.capture(folded(weight), tl.ones(3), weights={"w": weight}, rewrites=["once"])
    plan.run()
    own[:] = 5
    assert bits(plan(tl.ones(3))) == bits(folded(weight)(tl.ones(3)))


def test_what_depends_on_an_input_is_not_kept():
    weight = draw(3)

    def fn(t):
        x = weight.exp()
        x.add_(t)
        return x * 2, weight.sin() * t

    assert check(fn, tl.ones(3), weights={"w": weight}, rewrites=["once"])[0] == "sin"


def test_wider_copies_of_weights_are_not_kept():
    weight = draw(400, 400).half()
    plan = tl.capture(
        lambda t: weight.float() * t, tl.ones(400), weights={"w": weight}, rewrites=["once"]
    )
    assert plan.memory()["kept"] == 0


def test_a_failed_run_computes_anew():
    weight, table = draw(3), draw(4, 3)

    def fn(ids):
        return tl.embedding(ids, table) * weight.exp()

    plan = tl.capture(fn, tl.tensor([1]), weights={"w": weight, "t": table}, rewrites=["once"])
    with pytest.raises(ArgumentError, match="ids in"):
        plan(tl.tensor([7]))
    assert bits(plan(tl.tensor([2]))) == bits(fn(tl.tensor([2])))


@pytest.mark.parametrize("offset", [0, 1])
def test_weights_on_read_only_bytes_are_computed_once(offset):
    # At an odd address the elements are copied when they are borrowed: nobody else can write them.
    raw = bytes(offset) + draw(3).numpy().tobytes()
    weight = tl.from_buffer(raw, tl.f32, (3,), offset)
    plan = tl.capture(folded(weight), tl.ones(3), weights={"w": weight}, rewrites=["once"])
    plan.run()
    assert dict(plan._native.profile())["exp"] == 0
    weight.fill_(2.0)
    for _ in range(2):
        assert bits(plan(tl.ones(3))) == bits(folded(weight)(tl.ones(3)))
