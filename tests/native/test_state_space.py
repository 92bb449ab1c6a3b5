"""Kernels of recurrences over a state: what they keep, for any cut, count and number of threads."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import ShapeError
from tallow.ops import state_space as ops

STEPS = 7


def draw(rng, *shape, low=-1.0):
    return tl.tensor(rng.uniform(low, 1, shape).astype("f4"))


def convolution(rng):
    return (
        ops.causal_conv1d,
        [draw(rng, 2, STEPS, 70), draw(rng, 70, 4), draw(rng, 70)],
        {0},
        (3, 70),
    )


def scan(rng):
    given = [draw(rng, 2, STEPS, 33), draw(rng, 2, STEPS, 33, low=0), draw(rng, 33, 20) - 1]
    given += [draw(rng, 2, STEPS, 20), draw(rng, 2, STEPS, 20), draw(rng, 33)]
    return ops.selective_scan, given, {0, 1, 3, 4}, (33, 20)


def attention(rng, *rest, values=40, keys=()):
    many = (2, STEPS, 2, 6)
    given = [draw(rng, *many), draw(rng, *many), draw(rng, 2, STEPS, 4, values)]
    given += [draw(rng, 2, STEPS, 4, *keys, low=0), *rest]
    return ops.linear_attention, given, {0, 1, 2, 3, 4, 5}, (4, 6, values)


def delta(rng):
    rule = [draw(rng, 2, STEPS, 2, 6), draw(rng, 2, STEPS, 2, 6)]
    return attention(rng, *rule, values=64)


def bonus(rng):
    return attention(rng, None, None, draw(rng, 4, 6), values=5, keys=(6,))


def recurrence(rng):
    given = [draw(rng, 2, STEPS, 130, low=0), draw(rng, 2, STEPS, 130)]
    return ops.gated_recurrence, given, {0, 1}, (130,)


KINDS = {each.__name__: each for each in (convolution, scan, attention, delta, bonus, recurrence)}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind):
    rng = np.random.default_rng(3)
    op, given, along, shape = KINDS[kind](rng)
    return op, given, along, draw(rng, 2, *shape)


def part(given, along, first, n):
    """The arguments of positions from `first` on."""
    return [
        each.narrow(1, first, n) if i in along and each is not None else each
        for i, each in enumerate(given)
    ]


@every_kind
@pytest.mark.parametrize("counts", [None, (7, 5), (1, 0)], ids=str)
def test_kernel_is_the_reference_and_advances_the_state(kind, counts):
    op, given, _, state = made(kind)
    counts = None if counts is None else tl.tensor(counts, dtype=tl.i64)
    states = [state.clone(), state.clone()]
    found = op(*given, state=states[0], counts=counts)
    wanted = op.itself.reference(*given, state=states[1], counts=counts)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(*(each.numpy() for each in states), rtol=1e-4, atol=1e-5)


@every_kind
def test_padding_and_neighbours_change_nothing(kind):
    op, given, along, state = made(kind)
    held = state.clone()
    counts = tl.tensor([STEPS, 3], dtype=tl.i64)
    whole = op(*given, state=held, counts=counts).numpy()
    assert not whole[1, 3:].any()
    for row, count in enumerate(counts.tolist()):
        alone = [
            each.narrow(0, row, 1) if i in along and each is not None else each
            for i, each in enumerate(part(given, along, 0, count))
        ]
        own = state.narrow(0, row, 1).clone()
        found = op(*alone, state=own).numpy()
        assert (found[0] == whole[row, :count]).all()
        assert (own.numpy()[0] == held.numpy()[row]).all()


@every_kind
def test_steps_are_the_whole_bit_for_bit(kind):
    op, given, along, state = made(kind)
    held = state.clone()
    wanted = op(*given, state=held).numpy()
    parts = [
        op(*part(given, along, first, n), state=state) for first, n in ((0, 4), (4, 1), (5, 2))
    ]
    assert (np.concatenate([each.numpy() for each in parts], 1) == wanted).all()
    assert (state.numpy() == held.numpy()).all()


@every_kind
def test_threads_change_nothing(kind):
    op, given, _, state = made(kind)
    before, found = _native.num_threads(), []
    try:
        for threads in (1, 3):
            _native.set_num_threads(threads)
            found.append(op(*given, state=state.clone()).numpy())
    finally:
        _native.set_num_threads(before)
    assert (found[0] == found[1]).all()


@every_kind
def test_gradients_are_those_of_the_reference(kind):
    op, given, _, _ = made(kind)
    given = [None if each is None else each.requires_grad_() for each in given]
    known = [each for each in given if each is not None]
    found = tl.autograd.grad(op(*given).square().sum(), known)
    wanted = tl.autograd.grad(op.itself.reference(*given).square().sum(), known)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-3, atol=1e-4)


@every_kind
def test_wrong_states_and_counts_are_refused(kind):
    op, given, _, state = made(kind)
    with pytest.raises(ShapeError, match="state of shape"):
        op(*given, state=state[:1])
    with pytest.raises(ShapeError, match="counts"):
        op(*given, state=state, counts=tl.tensor([1, 2, 3], dtype=tl.i64))
