"""Several prompts at once: each is answered as if it were alone, and ends on its own."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ContextError
from tallow.generate import Piece, Progress, Result, SamplingParams, generate, generate_rows

PROMPTS = [
    [72, 101, 108, 108, 111],
    [84],
    list(range(40, 75)),
    [72, 101, 108],
    [90] * 12,
    [33, 34, 35, 36],
]
EACH = [
    SamplingParams(max_tokens=9, ignore_eos=True),
    SamplingParams(max_tokens=20, ignore_eos=True, temperature=1.3, seed=4),
    SamplingParams(max_tokens=1, ignore_eos=True),
    SamplingParams(max_tokens=14, repetition_penalty=1.4, ignore_eos=True),
    SamplingParams(max_tokens=30, temperature=2.0, seed=1, stop="e"),
    SamplingParams(max_tokens=None, ignore_eos=True, top_k=3, temperature=0.8, seed=9),
]


def alone(model, prompt, params):
    return list(generate(model, prompt, params))[-1]


def outcome(result):
    return (result.text, result.tokens, result.prompt_tokens, result.finish_reason)


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_each_row_is_as_if_alone(model, rows):
    found = list(generate_rows(model, PROMPTS, EACH, rows=rows))
    results = {i: event for i, event in found if isinstance(event, Result)}
    assert results.keys() == set(range(len(PROMPTS)))
    for i, (prompt, params) in enumerate(zip(PROMPTS, EACH, strict=True)):
        assert outcome(results[i]) == outcome(alone(model, prompt, params))
        mine = [event for at, event in found if at == i]
        assert mine[-1] is results[i]
        assert "".join(e.text for e in mine if isinstance(e, Piece)) == results[i].text
        done = [e for e in mine if isinstance(e, Progress)]
        assert done[-1] == Progress(len(prompt), len(prompt))
        assert results[i].prefill_s > 0


def test_long_prompts_in_chunks(model, monkeypatch):
    from tallow.generate import loop

    wanted = [outcome(alone(model, p, e)) for p, e in zip(PROMPTS, EACH, strict=True)]
    monkeypatch.setattr(loop, "CHUNK", 12)
    found = {i: e for i, e in generate_rows(model, PROMPTS, EACH) if isinstance(e, Result)}
    assert [outcome(found[i]) for i in range(len(PROMPTS))] == wanted


def test_windows(golden_model):
    model = golden_model("mistral")
    prompts = [[t % 60 for t in prompt] for prompt in PROMPTS]
    params = SamplingParams(max_tokens=25, ignore_eos=True)
    found = [e for _, e in generate_rows(model, prompts, params) if isinstance(e, Result)]
    by_length = sorted(found, key=lambda e: e.prompt_tokens)
    wanted = sorted((alone(model, p, params) for p in prompts), key=lambda e: e.prompt_tokens)
    assert [e.tokens for e in by_length] == [e.tokens for e in wanted]


def test_cancel(model):
    calls = iter([False] * 6)
    found = list(generate_rows(model, PROMPTS, EACH, cancel=lambda: next(calls, True)))
    results = [event for _, event in found if isinstance(event, Result)]
    assert len(results) == len(PROMPTS)
    assert {r.finish_reason for r in results} == {"cancelled", "length"}


def test_embeddings_in_the_place_of_a_prompt(model):
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    wanted = alone(model, PROMPTS[0], params)
    embeds = model.model.embed_tokens(tl.tensor(PROMPTS[0])).to(tl.f32)
    found = list(generate(model, params=params, inputs_embeds=embeds))[-1]
    assert outcome(found) == outcome(wanted)
    for bad in (embeds.unsqueeze(0).unsqueeze(0), tl.tensor([[1, 2]]), tl.zeros(0, 4)):
        with pytest.raises(tl.TallowError, match="inputs_embeds"):
            generate(model, inputs_embeds=bad)


def test_what_is_refused(model):
    with pytest.raises(ArgumentError, match="prompt 1: expected at least one token"):
        generate_rows(model, [[1], []])
    with pytest.raises(ContextError, match="prompt 0: expected fewer than 64"):
        generate_rows(model, [[1] * 64])
    with pytest.raises(ArgumentError, match="params: expected 2 of them"):
        generate_rows(model, [[1], [2]], [SamplingParams()])
    with pytest.raises(ArgumentError, match="rows of at least 1"):
        generate_rows(model, [[1]], rows=0)
    assert list(generate_rows(model, [])) == []
