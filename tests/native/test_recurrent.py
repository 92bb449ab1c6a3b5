"""Kernels of recurrent layers: large units that threads share, and no dependence on threads."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import ArgumentError, ShapeError
from tallow.ops.recurrent import gru_sequence, lstm_sequence

OPS = {"lstm": (lstm_sequence, 4, (0, 2, 3, 1)), "gru": (gru_sequence, 3, (1, 0, 2))}


def arguments(kind, steps, batch, size):
    rng = np.random.default_rng(steps + size)
    _, gates, order = OPS[kind]

    def draw(*shape):
        return tl.tensor((rng.standard_normal(shape) * 0.2).astype("f4"))

    states = [draw(batch, size) for _ in range(2 if kind == "lstm" else 1)]
    lengths = tl.tensor(rng.integers(0, steps + 1, batch))
    width = gates * size
    weights = draw(width, size), draw(width)
    return [draw(steps, batch, width), *weights, *states, lengths, True, order]


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("size", [3, 64, 301])  # of 301 units threads share a step
@pytest.mark.parametrize("kind", OPS)
def test_kernel_is_the_reference_for_every_number_of_threads(kind, size, batch):
    op, given = OPS[kind][0], arguments(kind, 5, batch, size)
    wanted = op.reference(*given)
    before, found = _native.num_threads(), []
    try:
        for threads in (1, 3):
            _native.set_num_threads(threads)
            found.append([part.numpy() for part in op(*given)])
    finally:
        _native.set_num_threads(before)
    for one, three, want in zip(*found, wanted, strict=True):
        assert (one == three).all()
        np.testing.assert_allclose(one, want.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OPS)
def test_wrong_sizes_are_refused(kind):
    op, (x, weight, bias, *rest) = OPS[kind][0], arguments(kind, 2, 1, 4)
    with pytest.raises(ShapeError, match="weight of 4 columns"):
        op(x, weight[:, :3], bias, *rest)
    with pytest.raises(ShapeError, match="at least one step"):
        op(x[:0], weight, bias, *rest)
    with pytest.raises(ArgumentError, match="an order"):
        op(x, weight, bias, *rest[:-1], (0,) * len(rest[-1]))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_plan_of_one_step_takes_other_layouts(kind):
    layer = getattr(tl.nn, kind)(6, 21)
    x = tl.tensor(np.random.default_rng(0).standard_normal((1, 1, 6)).astype("f4"))
    with tl.no_grad():
        wanted, plan = layer(x)[0], tl.compile(layer)
        for _ in range(3):
            np.testing.assert_allclose(plan(x)[0].numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
        layer.weight_hh_l0.mul_(2.0)  # tiles are made anew
        layer.weight_ih_l0.mul_(0.5)
        wanted = layer(x)[0]
        np.testing.assert_allclose(plan(x)[0].numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
