"""A decoder behind an encoder generates what transformers does (tests/golden/make_cross.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from generate.cross_decoder import PROMPTS, SEARCHES, CrossDecoder
from tallow.errors import ArgumentError
from tallow.formats.safetensors import open_safetensors
from tallow.generate import GenerationConfig, SamplingParams, generate, search
from tallow.generate.step import DecodeStep

FILE = open_safetensors(Path(__file__).parent.parent / "golden" / "cross" / "decoder.safetensors")
ANSWERS = json.loads(FILE.metadata["answers"])


@pytest.fixture(scope="module")
def given():
    return {name: FILE.tensor(name) for name in ("context", "context_mask")}


@pytest.fixture(scope="module")
def decoder():
    made = CrossDecoder()
    names = set(FILE.tensors) - {"context", "context_mask"}
    made.load_state_dict({name: FILE.tensor(name) for name in names})
    made.generation_config = GenerationConfig()
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("name", SEARCHES)
def test_ids_are_transformers_s(name, decoder, given):
    found = decoder.generate(given["context"], context_mask=given["context_mask"], **SEARCHES[name])
    assert found.tolist() == ANSWERS[name]


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts(name, decoder, given):
    """A start token is put before prompts that do not have it."""
    ids = tl.tensor(PROMPTS[name])
    found = decoder.generate(**given, decoder_input_ids=ids, **SEARCHES[name])
    assert found.tolist() == ANSWERS[name + " after a prompt"]
    if ids[0, 0].item() == 3:
        return
    # Padding before a prompt without one changes nothing.
    options = {**SEARCHES[name], "max_length": None, "max_new_tokens": 11}
    padded = tl.tensor([[0, 0, *row] for row in PROMPTS[name]])
    mask = tl.tensor([[0, 0] + [1] * len(row) for row in PROMPTS[name]])
    found = decoder.generate(**given, decoder_input_ids=ids, **options)
    again = decoder.generate(
        **given, decoder_input_ids=padded, decoder_attention_mask=mask, **options
    )
    assert again[:, -11:].tolist() == found[:, -11:].tolist()


@pytest.mark.parametrize("name", SEARCHES)
def test_rows_alone(name, decoder, given):
    config = GenerationConfig(**SEARCHES[name])
    whole = search(decoder, config=config, **given)
    count = config.num_return_sequences
    for row in range(3):
        alone = {key: value[row : row + 1] for key, value in given.items()}
        found = search(decoder, config=config, **alone).sequences
        rest = whole.sequences[row * count : (row + 1) * count]
        assert rest[:, : found.shape[1]].tolist() == found.tolist()
        assert set(rest[:, found.shape[1] :].flatten().tolist()) <= {1}


def test_steps_are_the_full_pass(decoder, given):
    """A plan replays steps with keys of the context that were computed once."""
    ids = [[3, 9, 17, 20, 8], [3, 6, 6, 30, 11], [3, 40, 2, 1, 7]]
    state = decoder.make_state(3)
    with tl.inference_mode():
        decoder.attend_to(state, given["context"], given["context_mask"])
        state.reserve(5)
        whole = decoder.head(decoder.decode(tl.tensor(ids), state)).numpy().copy()
    step = DecodeStep(decoder, state)
    state.trim(0)
    for i in range(5):
        found = step([row[i] for row in ids]).numpy()
        np.testing.assert_allclose(found, whole[:, i], rtol=1e-4, atol=1e-4)


def test_texts_after_a_context(decoder, given):
    """The loop of events takes a state that was made to attend to a context."""
    state = decoder.make_state()
    with tl.inference_mode():
        decoder.attend_to(state, given["context"][:1], given["context_mask"][:1])
    params = SamplingParams(max_tokens=9, repetition_penalty=1.5)
    found = list(generate(decoder, [3], params, state=state))[-1]
    assert list(found.tokens) == ANSWERS["greedy"][0][1:10]


def test_what_is_refused(decoder, given):
    for bad in (tl.zeros(3, 16), tl.zeros(2, 6, 16)):
        with pytest.raises(tl.TallowError, match="context"):
            search(decoder, [[3], [3], [3]], context=bad)
    with pytest.raises(ArgumentError, match="decoder_start_token_id"):
        decoder.generate(**given)
    with pytest.raises(ArgumentError, match="generate: expected .*'pixel_values'"):
        decoder.generate(**given, pixel_values=tl.zeros(1), decoder_start_token_id=3)
    with pytest.raises(ArgumentError, match="generate: expected .*'context'"):
        decoder.generate(decoder_input_ids=tl.tensor([[3]]))
