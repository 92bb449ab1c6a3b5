"""RWKV's states: what was read before counts as if it stood in the text, whatever the padding."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case

VERSIONS = ("rwkv7",)
every_version = pytest.mark.parametrize("name", VERSIONS)


@every_version
def test_pieces_give_what_the_whole_gives(name):
    model = Case(name).load()
    ids = tl.arange(3, 17).unsqueeze(0)
    want, state = model(ids).logits.numpy(), model.make_state()
    found = [model(ids[:, a:b], state=state).logits for a, b in ((0, 5), (5, 6), (6, 14))]
    np.testing.assert_allclose(tl.cat(found, 1).numpy(), want, atol=1e-4)


@every_version
def test_rows_of_other_lengths_give_what_they_give_alone(name):
    model = Case(name).load()
    rows = [[5, 9, 11, 7, 23], [40, 8]]
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    ids, mask = tl.tensor([rows[0], [0, 0, 0, *rows[1]]]), tl.tensor([[1] * 5, [0, 0, 0, 1, 1]])
    found = model.generate(ids, attention_mask=mask, **options).tolist()
    for row, whole in zip(rows, found, strict=True):
        assert model.generate(tl.tensor([row]), **options).tolist()[0][-12:] == whole[-12:]
