"""A tiny model with a byte tokenizer, and a stand-in whose answers are written down."""

from __future__ import annotations

from pathlib import Path

import pytest

import tallow as tl
from tallow.models import DecoderConfig, build
from tallow.weights import open_weights

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"


@pytest.fixture(scope="session")
def model():
    return build(open_weights(FOLDER / "llama.q8_0.gguf"), activations="exact")


@pytest.fixture(scope="session")
def tokenizer(model):
    return model.tokenizer


class Scripted:
    """Says `answer` after a prompt of `begin` tokens, whatever that was; then the end token."""

    def __init__(self, begin, answer, context=64):
        self.config = DecoderConfig(
            vocab_size=288,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=context,
        )
        self.passes = []
        rows = [[0.0] * 288 for _ in range(context + 1)]
        for at, row in enumerate(rows):
            said = at - begin + 1
            row[answer[said] if 0 <= said < len(answer) else 2] = 1.0
        self.script = tl.tensor(rows)  # logits by the position of the last token

    def prefill(self, ids, cache):
        cache.begin(1, ids.shape[1])
        cache.advance(ids.shape[1])
        self.passes.append(ids.shape[1])

    def __call__(self, ids, cache, *, last_only):
        assert last_only
        self.prefill(ids, cache)
        return self.script[cache.length - 1].view(1, 1, 288)

    def step(self, ids, start, slots):
        return tl.embedding(start, self.script).view(1, 1, 288)


@pytest.fixture
def scripted():
    return Scripted
