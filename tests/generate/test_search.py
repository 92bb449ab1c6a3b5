"""Greedy and beam search give the ids and scores that transformers gives (tests/golden)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from generate.search_cases import CASES, ROWS
from tallow.errors import ArgumentError, ContextError, NonFiniteError
from tallow.generate import GenerationConfig, search
from tallow.models import build
from tallow.weights import open_weights

GOLDEN = Path(__file__).parent.parent / "golden"
ANSWERS = json.loads((GOLDEN / "search.json").read_text())


@pytest.fixture(scope="module")
def models():
    made = {}

    def get(case):
        if case not in made:
            made[case] = build(open_weights(GOLDEN / "models" / case))
        return made[case]

    return get


def cut(row, fill):
    while len(row) > 1 and row[-1] == fill:
        row = row[:-1]
    return row


def same(found, wanted):
    assert found.sequences.tolist() == wanted["sequences"]
    if wanted["scores"] is None:
        assert found.sequences_scores is None
    else:
        scores = found.sequences_scores.tolist()
        np.testing.assert_allclose(scores, wanted["scores"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_rows_alone(name, models):
    case, options = CASES[name]
    model, config = models(case), GenerationConfig(**options)
    for row, wanted in zip(ROWS, ANSWERS[name], strict=True):
        same(search(model, [row], config), wanted)


@pytest.mark.parametrize("side", ["left", "right", "lists"])
@pytest.mark.parametrize("name", ["greedy", "beams", "early stopping", "beams without an end"])
def test_rows_together_are_the_rows_alone(name, side, models):
    case, options = CASES[name]
    width = max(map(len, ROWS))
    pads = [[0] * (width - len(row)) for row in ROWS]
    pairs = list(zip(ROWS, pads, strict=True))
    ids = [pad + row if side == "left" else row + pad for row, pad in pairs]
    ones = [[1] * len(row) for row in ROWS]
    pairs = list(zip(ones, pads, strict=True))
    mask = tl.tensor([pad + one if side == "left" else one + pad for one, pad in pairs])
    config = GenerationConfig(**options)
    if side == "lists":
        found = search(models(case), ROWS, config)
    else:
        found = search(models(case), tl.tensor(ids), config, attention_mask=mask)
    count = config.num_return_sequences
    fill = (config.pad_token_id or config.ends[0]) if config.ends else -1
    for i, (row, wanted) in enumerate(zip(ROWS, ANSWERS[name], strict=True)):
        for j in range(count):
            new = found.sequences[i * count + j].tolist()[width:]
            alone = wanted["sequences"][j][len(row) :]
            assert cut(new, fill) == cut(alone, fill)
            if side != "lists":
                assert found.sequences[i * count + j].tolist()[:width] == ids[i]
            if wanted["scores"] is not None:
                score = found.sequences_scores[i * count + j].item()
                assert score == pytest.approx(wanted["scores"][j], abs=1e-4)


def test_embeddings_in_the_place_of_ids(models):
    model = models("llama3")
    for name in ("greedy", "beams"):
        config = GenerationConfig(**CASES[name][1])
        rows = tl.tensor([ROWS[0], ROWS[0][::-1]])
        wanted = search(model, rows, config)
        found = search(model, config=config, inputs_embeds=model.model.embed_tokens(rows))
        assert found.sequences.tolist() == wanted.sequences[:, rows.shape[1] :].tolist()


def test_samples_follow_the_warped_distribution(models):
    model = models("qwen2")
    options = {"do_sample": True, "temperature": 0.7, "top_k": 5, "max_new_tokens": 1}
    config = GenerationConfig(**options, num_return_sequences=400)
    logits = model(tl.tensor([ROWS[0]])).logits[0, -1].numpy().astype(np.float64) / 0.7
    best = np.argsort(-logits)[:5]
    p = np.exp(logits[best] - logits[best].max())
    p /= p.sum()
    drawn = search(model, [ROWS[0]], config, seed=3).sequences[:, -1].tolist()
    for token, share in zip(best.tolist(), p.tolist(), strict=True):
        assert drawn.count(token) / 400 == pytest.approx(share, abs=0.1)
    assert set(drawn) <= set(best.tolist())
    assert search(model, [ROWS[0]], config, seed=3).sequences[:, -1].tolist() == drawn


def test_beams_may_be_drawn(models):
    config = GenerationConfig(
        do_sample=True, num_beams=3, num_return_sequences=2, max_new_tokens=8, eos_token_id=2
    )
    runs = [
        search(models("qwen2"), ROWS, config, seed=seed).sequences.tolist() for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_a_model_s_own_method(models):
    model = models("llama3")
    for name in ("greedy", "several of the beams"):
        options = {"eos_token_id": None, **CASES[name][1]}
        found = model.generate(tl.tensor([ROWS[0]]), **options)
        assert found.tolist() == ANSWERS[name][0]["sequences"]
    # The checkpoint's own config says what ends a sequence, and a GGUF file's tokenizer.
    assert model.generation_config.ends == (2,)
    path = GOLDEN / "models" / "llama" / "llama.q8_0.gguf"
    assert 2 in build(open_weights(path)).generation_config.ends
    found = model.generate(input_ids=tl.tensor(ROWS[1:2]), generation_config=GenerationConfig())
    assert found.shape == (1, len(ROWS[1]) + 20)
    with pytest.raises(ArgumentError, match="num_beems"):
        model.generate(tl.tensor([ROWS[0]]), num_beems=3)


def test_steps_are_told(models):
    told = []
    config = GenerationConfig(max_new_tokens=3)
    search(models("qwen2"), ROWS, config, on_step=lambda done, most: told.append((done, most)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_is_refused(models):
    model = models("qwen2")
    for rows in ([], [[]], [[1], []], [[64]], [[-1]]):
        with pytest.raises(ArgumentError):
            search(model, rows)
    with pytest.raises(ArgumentError, match="neither"):
        search(model)
    with pytest.raises(ArgumentError, match="decoder alone"):
        search(model, [[1]], context=tl.zeros(1, 3, 4))
    with pytest.raises(tl.TallowError, match="attention_mask"):
        search(model, tl.tensor([[1, 2]]), attention_mask=tl.tensor([[1]]))
    with pytest.raises(ContextError, match="fewer than 64 tokens"):
        search(model, [[1] * 64])
    with pytest.raises(ContextError, match="fewer than 8 tokens, got 10"):
        search(model, ROWS[:1], GenerationConfig(max_length=8))
    everything = {"suppress_tokens": range(64), "max_new_tokens": 2, "do_sample": True}
    with pytest.raises(ArgumentError, match="a token that may be chosen"):
        search(model, [[1]], GenerationConfig(**everything))
    # The context is the end of all.
    found = search(model, [[1] * 60], GenerationConfig(max_new_tokens=50))
    assert found.sequences.shape == (1, 64)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_model_that_computes_nan_is_told(beams):
    source = open_weights(GOLDEN / "models" / "qwen2")
    tensors = {name: source.take(name).clone() for name in source.names()}
    tensors["model.norm.weight"][3] = float("nan")
    broken = open_weights(tensors)
    broken.config, broken.path = source.config, source.path
    with pytest.raises(NonFiniteError, match="TALLOW_CHECK"):
        search(build(broken), ROWS, GenerationConfig(num_beams=beams))


def test_no_token_is_chosen_where_all_are_ruled_out(models):
    model = models("llama")
    for options, wanted in (
        ({"suppress_tokens": list(range(model.vocab_size))}, "may be chosen"),
        ({"forced_eos_token_id": model.vocab_size, "max_new_tokens": 1}, "forced token"),
    ):
        with pytest.raises(ArgumentError, match=wanted):
            search(model, [[1, 2]], GenerationConfig(**options))


def test_a_length_counts_embeddings_as_transformers_does(models):
    model = models("llama")
    ids = tl.tensor([[1, 2, 3, 4]])
    embeds = model.model.embed_tokens(ids)
    by_ids = search(model, ids, GenerationConfig(max_length=7))
    by_embeds = search(model, config=GenerationConfig(max_length=7), inputs_embeds=embeds)
    assert by_embeds.sequences.tolist() == by_ids.sequences[:, 4:].tolist()


def test_noise_of_sampled_beams_is_finite():
    from random import Random
    from types import SimpleNamespace

    from tallow.generate.sequences import _best

    class Next(Random):
        """The largest number below 1 for what is impossible, which f32 would round to 1."""

        def __init__(self):
            super().__init__(0)
            self.draws = iter([1 - 2**-53, 0.5, 0.5, 0.5])

        def random(self):
            return next(self.draws)

    run = SimpleNamespace(random=Next(), config=GenerationConfig(num_beams=2, do_sample=True))
    total = tl.tensor([[-float("inf"), 0.0, -1.0, -2.0]])
    assert _best(total, 2, run) == ([[0.0, -1.0]], [[1, 2]])
