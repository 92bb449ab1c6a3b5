"""The last layer of a prompt computes the positions alone that are asked for."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl

IDS = [5, 9, 20, 31, 47, 3, 60, 14, 40, 11, 33, 8, 2, 50, 17, 29]


@pytest.fixture(params=["llama3", "mistral"])
def model(request, golden):
    """With keys of all positions, and (mistral) of a window of 6."""
    return golden(request.param).load("hf")


def step(model, state, ids, **options):
    rows = ids if isinstance(ids[0], list) else [ids] * state.batch
    return model(tl.tensor(rows, dtype=tl.i64), state=state, **options).logits.numpy()


def test_last_positions_alone_have_the_bits_of_all(model):
    for kept in (1, 3):
        for batch in (1, 2):
            whole, alone = model.make_state(batch), model.make_state(batch)
            for ids in (IDS[:9], IDS[9:11], IDS[11:]):
                wanted = step(model, whole, ids)[:, -kept:]
                found = step(model, alone, ids, logits_to_keep=kept)
                np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(step(model, alone, [7]), step(model, whole, [7]))


def test_last_positions_of_padded_rows(model):
    rows, mask = [IDS[:6], [0, 0, *IDS[:4]]], tl.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    found = [
        step(model, model.make_state(2), rows, attention_mask=mask, logits_to_keep=kept)
        for kept in (0, 1)
    ]
    np.testing.assert_array_equal(found[1], found[0][:, -1:])


def test_a_prompt_goes_through_decode_as_a_subclass_has_it(model):
    class Doubled(type(model)):
        def decode(self, ids, state, *, embeds=None):
            return super().decode(ids, state, embeds=embeds) * 2

    @tl.inference_mode()
    def last(model):
        state, ids = model.make_state(), tl.tensor([IDS], dtype=tl.i64)
        state.reserve(len(IDS))
        return model.decode_last(ids, state).numpy()

    once = last(model)
    model.__class__ = Doubled
    np.testing.assert_array_equal(last(model), once * 2)
