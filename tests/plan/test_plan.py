"""Plans: replays equal eager runs to the bit, and nothing is fixed in them unnoticed."""

import pytest

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, ShapeError


def network(x, weight):
    return (tl.silu(tl.rms_norm(x) @ weight) + x.sum(-1, keepdim=True)).softmax(-1)


def draw(rows, seed):
    return (tl.arange(rows * 8).float().reshape(rows, 8) * seed).sin()


def test_replay_equals_eager_to_the_bit():
    weight = draw(8, 0.7)
    plan = tl.capture(lambda x: network(x, weight), draw(3, 1.0))
    for seed in (0.1, 2.5, 9.0):
        x = draw(3, seed)
        assert plan(x).tolist() == network(x, weight).tolist()
    assert len(plan) > 4


def test_inputs_written_in_place_are_read_by_run():
    x = draw(2, 1.0)
    plan = tl.capture(lambda t: t * 2 + 1, x)
    x.fill_(4)
    plan.run()
    assert plan.outputs.tolist() == [[9.0] * 8] * 2


def test_temporaries_survive_the_capture():
    plan = tl.capture(lambda t: (t + 1) * (t - 1), draw(2, 1.0))
    crowd = [tl.ones(2, 8) * 7 for _ in range(50)]  # would land in freed blocks
    x = draw(2, 3.0)
    assert plan(x).tolist() == ((x + 1) * (x - 1)).tolist()
    assert crowd[0].tolist() == [[7.0] * 8] * 2


def test_what_is_filled_inside_is_filled_by_each_run():
    plan = tl.capture(lambda t: tl.zeros(2).add_(t), tl.ones(2))
    for value in (3.0, 5.0, 7.0):
        assert plan(tl.full((2,), value)).tolist() == [value] * 2


@pytest.mark.parametrize("read", [lambda t: t.sum().item(), lambda t: t.tolist()])
def test_reading_a_value_while_capturing_is_refused(read):
    with pytest.raises(ArgumentError, match="while a plan is captured"):
        tl.capture(read, tl.ones(2))
    assert tl.ones(2).tolist() == [1.0, 1.0]  # the capture has ended


def test_a_capture_inside_a_capture_is_refused():
    with pytest.raises(ArgumentError, match="being captured already"):
        tl.capture(lambda t: tl.capture(lambda u: u + 1, t).outputs, tl.ones(2))


def test_inputs_that_do_not_fit_are_refused():
    plan = tl.capture(lambda t: t + 1, tl.ones(2))
    with pytest.raises(ShapeError, match="input of shape"):
        plan(tl.ones(3))
    with pytest.raises(DTypeError, match="input of f32"):
        plan(tl.ones(2, dtype=tl.f64))
    with pytest.raises(ShapeError, match="1 inputs"):
        plan()
