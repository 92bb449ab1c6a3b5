"""A tiny model with a byte tokenizer, and a stand-in whose answers are written down."""

from __future__ import annotations

from pathlib import Path

import pytest

import tallow as tl
from tallow.models import build
from tallow.models.states import KeyValue, State
from tallow.weights import open_weights

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"


@pytest.fixture(scope="session")
def model():
    return build(open_weights(FOLDER / "llama.q8_0.gguf"), activations="float")


@pytest.fixture(scope="session")
def golden_model():
    """Models of tests/golden/models by name."""
    return lambda case: build(open_weights(FOLDER.parent / case))


@pytest.fixture(scope="session")
def tokenizer(model):
    return model.tokenizer


class Scripted:
    """Says `answer` after a prompt of `begin` tokens, whatever that was; then the end token."""

    has_tokenizer = False
    end_ids = ()
    vocab_size = 288

    def __init__(self, begin, answer, context=64):
        self.context = context
        self.passes = []
        rows = [[0.0] * 288 for _ in range(context + 1)]
        for at, row in enumerate(rows):
            said = at - begin + 1
            row[answer[said] if 0 <= said < len(answer) else 2] = 1.0
        self.script = tl.tensor(rows)  # logits by the position of the last token

    def make_state(self, batch=1, capacity=256, dtype=tl.f32):
        return State([KeyValue(1, 2)], batch, context=self.context, capacity=capacity, dtype=dtype)

    def decode(self, ids, state, *, embeds=None):
        if ids.shape[1] > 1:
            self.passes.append(ids.shape[1])
        return state.positions(ids.shape[1])

    def head(self, positions):
        return tl.embedding(positions, self.script)


@pytest.fixture
def scripted():
    return Scripted
