"""Recurrent states: any cut into passes gives the same bits, padding never enters, nothing lies."""

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ModelError
from tallow.generate.step import DecodeStep
from tallow.models.marks import Mark

FAMILIES = (
    "bamba", "falcon_mamba", "granitemoehybrid", "jamba", "lfm2", "mamba", "mamba2", "qwen3_next",
    "recurrent_gemma",
)  # fmt: skip
LENGTH = 24
IDS = np.random.default_rng(5).integers(3, 60, (1, LENGTH))


def logits(model, ids, **given):
    return model(tl.tensor(ids), **given).logits.numpy()


def close(found, want):
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return Case(request.param).load()


@pytest.fixture(scope="module")
def whole(model):
    return logits(model, IDS)[0]


def test_passes_of_any_length_are_the_whole(model, whole):
    state, found = model.make_state(), []
    for first, end in ((0, 9), (9, 10), (10, LENGTH)):
        found.append(logits(model, IDS[:, first:end], state=state)[0])
    close(np.concatenate(found), whole)
    assert state.lengths == [LENGTH]


def test_steps_of_a_plan_are_the_whole(model, whole):
    state = model.make_state(2)
    step = DecodeStep(model, state)
    found = np.stack([step([int(token)] * 2).numpy().copy() for token in IDS[0]])
    assert (found[:, 0] == found[:, 1]).all()
    close(found[:, 0], whole)


@pytest.mark.parametrize("left", [False, True])
def test_rows_of_several_lengths_are_rows_alone(model, whole, left):
    lengths = [LENGTH, 7, 1]
    ids, mask = np.zeros((3, LENGTH), int), np.zeros((3, LENGTH), int)
    places = [slice(LENGTH - n, None) if left else slice(n) for n in lengths]
    for row, place in enumerate(places):
        ids[row, place], mask[row, place] = IDS[0, : lengths[row]], 1
    state = model.make_state(3)
    found = logits(model, ids, attention_mask=tl.tensor(mask), state=state)
    assert state.lengths == lengths
    for row, place in enumerate(places):
        close(found[row, place], whole[: lengths[row]])
    after = logits(model, [[3], [int(IDS[0, 7])], [int(IDS[0, 1])]], state=state)
    close(after[1:, 0], whole[[7, 1]])


def test_states_are_selected_forked_saved_and_trimmed_to_nothing(model, tmp_path):
    state = model.make_state(2)
    both = np.concatenate([IDS, IDS[:, ::-1]])
    logits(model, both[:, :9], state=state)
    wanted = logits(model, both[:, 9:], state=state.fork())
    turned = state.fork()
    turned.select([1, 0, 1])
    turned.save(tmp_path / "state")
    for each in (turned, model.make_state().load(tmp_path / "state")):
        close(logits(model, both[[1, 0, 1], 9:], state=each), wanted[[1, 0, 1]])
    assert state.fork(4).lengths == [0, 0]
    assert state.trim([9, 3]) == [9, 0]
    close(logits(model, both[:, 9:10], state=state)[0], wanted[0, :1])
    state.reset()
    close(logits(model, both[:, :1], state=state), logits(model, both[:, :1]))


def test_a_pass_that_was_broken_off_is_noticed(model, whole):
    state = model.make_state()
    logits(model, IDS[:, :9], state=state)
    state.reserve(3)
    with tl.inference_mode():
        model.decode(tl.tensor(IDS[:, 9:12]), state)
    with pytest.raises(ModelError, match="broken off"):
        logits(model, IDS[:, 9:], state=state)
    assert state.trim(9) == [0]
    close(logits(model, IDS, state=state)[0], whole)


def test_a_state_goes_back_to_a_mark(model):
    state = model.make_state()
    whole = logits(model, IDS)[0]
    close(logits(model, IDS[:, :6], state=state)[0], whole[:6])
    mark = Mark(state)
    mark.take()
    logits(model, IDS[:, 2:7], state=state)
    mark.rewind()
    assert state.lengths == [6]
    close(logits(model, IDS[:, 6:], state=state)[0], whole[6:])
