"""Recurrent weights become tiles once, in plans."""

import pytest

import tallow as tl
from plan.rewriting import calls, draw
from tallow.ops.recurrent import gru_sequence, lstm_sequence

PASSES = ["recurrent_weights"]


@pytest.mark.parametrize("steps", [1, 3])
def test_weights_of_few_steps_become_tiles(steps):
    weight, h, c = draw(80, 20), draw(1, 20), draw(1, 20)

    def lstm(x):
        return lstm_sequence(x, weight, None, h, c, None, False, [0, 1, 2, 3])[0]

    plan = tl.capture(lstm, draw(steps, 1, 80), weights={"w": weight}, rewrites=PASSES)
    assert calls(plan) == ["recurrent_weight", "lstm"]
    for seed in (0.3, 1.1):
        x = draw(steps, 1, 80, seed=seed)
        assert tl.allclose(plan(x), lstm(x), atol=1e-6)


def test_weights_that_depend_on_an_input_stay():
    h = draw(2, 5)

    def gru(x, weight):
        return gru_sequence(x, weight, None, h, None, True, [0, 1, 2])[0]

    plan = tl.capture(gru, draw(1, 2, 15), draw(15, 5), rewrites=PASSES)
    assert calls(plan) == ["gru"]
