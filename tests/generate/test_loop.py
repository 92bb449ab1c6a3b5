"""The decoding loop: chunks, ends, stop strings, whole characters, cancellation, reuse."""

from __future__ import annotations

import threading

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ContextError
from tallow.generate import Piece, Progress, Result, SamplingParams, generate, loop

PROMPT = [72, 101, 108, 108, 111]


def collect(model, prompt, tokenizer=None, state=None, cancel=None, **options):
    params = SamplingParams(**options)
    events = list(generate(model, prompt, params, tokenizer=tokenizer, state=state, cancel=cancel))
    assert isinstance(events[-1], Result)
    assert "".join(e.text for e in events if isinstance(e, Piece)) == events[-1].text
    return events


def say(scripted, tokenizer, text, **options):
    ids = tokenizer.encode(text, add_special=False)
    return collect(scripted(len(PROMPT), ids), PROMPT, tokenizer, **options)


def test_greedy_is_the_largest_logit_without_a_cache(model):
    ids = list(PROMPT)
    for _ in range(12):
        ids.append(int(model(tl.tensor([ids]), logits_to_keep=1).logits.view(-1).argmax(-1).item()))
    result = collect(model, PROMPT, max_tokens=12, ignore_eos=True)[-1]
    assert list(result.tokens) == ids[5:]
    assert (result.prompt_tokens, result.cached_tokens, result.finish_reason) == (5, 0, "length")
    assert result.prefill_s > 0
    assert result.decode_s > 0
    assert str(result) == result.text


def test_steps_go_on_when_the_state_grows(model):
    wide = collect(model, PROMPT, max_tokens=24, ignore_eos=True)[-1].tokens
    state = model.make_state(capacity=6)  # grows at the 7th, 13th and 25th position
    grown = collect(model, PROMPT, state=state, max_tokens=24, ignore_eos=True)[-1].tokens
    assert grown == wide


def test_end_token(scripted, tokenizer):
    result = say(scripted, tokenizer, "Hello, world")[-1]
    assert (result.text, result.finish_reason) == ("Hello, world", "stop")
    assert list(result.tokens) == tokenizer.encode("Hello, world", add_special=False)
    assert say(scripted, tokenizer, "")[-1].tokens == ()


def test_end_token_may_be_ignored(scripted, tokenizer):
    result = say(scripted, tokenizer, "ab", ignore_eos=True, max_tokens=5)[-1]
    assert result.tokens[2:] == (2, 2, 2)
    assert (result.text, result.finish_reason) == ("ab", "length")


def test_prompts_go_in_chunks(scripted, tokenizer, monkeypatch):
    monkeypatch.setattr(loop, "CHUNK", 8)
    fake = scripted(20, tokenizer.encode("ok", add_special=False))
    events = collect(fake, [5] * 20, tokenizer)
    assert fake.passes == [8, 8, 4]  # what follows are steps
    assert [e for e in events if isinstance(e, Progress)] == [
        Progress(8, 20),
        Progress(16, 20),
        Progress(20, 20),
    ]
    assert events[-1].text == "ok"


def test_chunks_give_the_same_answer(model, monkeypatch):
    whole = collect(model, PROMPT * 3, max_tokens=8)[-1].tokens
    monkeypatch.setattr(loop, "CHUNK", 4)
    assert collect(model, PROMPT * 3, max_tokens=8)[-1].tokens == whole


@pytest.mark.parametrize("stop", ["STOP", ["nothing", "STOP"], ["ST", "STOP"], "TOP"])
def test_stop_strings(scripted, tokenizer, stop):
    events = say(scripted, tokenizer, "all SO STOP and more", stop=stop)
    result = events[-1]
    assert result.finish_reason == "stop"
    assert result.text == ("all SO S" if stop == "TOP" else "all SO ")
    assert len(result.tokens) < len("all SO STOP") + 1


def test_what_only_begins_like_a_stop_is_not_lost(scripted, tokenizer):
    result = say(scripted, tokenizer, "to STO", stop="STOP")[-1]
    assert (result.text, result.finish_reason) == ("to STO", "stop")
    result = say(scripted, tokenizer, "to STOP", stop="STOP", max_tokens=6)[-1]
    assert (result.text, result.finish_reason) == ("to STO", "length")


def test_characters_are_never_split(scripted, tokenizer):
    text = "aé漢🙂z"
    pieces = [e.text for e in say(scripted, tokenizer, text) if isinstance(e, Piece)]
    assert [piece for piece in pieces if piece] == list(text)
    assert len(pieces) == len(text.encode())


def test_an_unfinished_character_is_shown_at_the_end(scripted, tokenizer):
    result = say(scripted, tokenizer, "a🙂", max_tokens=3)[-1]
    assert (result.text, result.finish_reason) == ("a\ufffd", "length")


def test_the_context_ends_the_answer(model):
    result = collect(model, PROMPT * 12, max_tokens=None, ignore_eos=True)[-1]
    assert (len(result.tokens), result.finish_reason) == (4, "length")
    result = collect(model, [7] * 63, max_tokens=50, ignore_eos=True)[-1]
    assert len(result.tokens) == 1


def test_prompts_that_are_refused(model):
    with pytest.raises(ContextError, match="fewer than 64 tokens .*, got 64"):
        generate(model, [1] * 64)
    for prompt in ([], [288], [-1]):
        with pytest.raises(ArgumentError):
            generate(model, prompt)
    with pytest.raises(TypeError):
        generate(model, ["a"])
    with pytest.raises(ArgumentError, match="batch 1"):
        generate(model, [1], state=model.make_state(2))


def test_cancel_by_event_and_by_function(model):
    event = threading.Event()
    pieces = []
    for item in generate(model, PROMPT, SamplingParams(ignore_eos=True), cancel=event):
        if isinstance(item, Piece) and item.token is not None:
            pieces.append(item.token)
            if len(pieces) == 3:
                event.set()
    assert isinstance(item, Result)
    assert (item.finish_reason, list(item.tokens)) == ("cancelled", pieces)
    result = collect(model, PROMPT, cancel=lambda: True)[-1]
    assert (result.finish_reason, result.tokens) == ("cancelled", ())


def test_closing_leaves_the_state_usable(model):
    expected = collect(model, PROMPT, max_tokens=10, ignore_eos=True)[-1].tokens
    state = model.make_state()
    events = generate(model, PROMPT, SamplingParams(ignore_eos=True), state=state)
    for _ in range(4):
        next(events)
    events.close()
    assert state.lengths == [7]
    assert state.tokens == [[*PROMPT, *expected[:2]]]
    again = collect(model, PROMPT, state=state, max_tokens=10, ignore_eos=True)[-1]
    assert (again.tokens, again.cached_tokens) == (expected, 4)


def test_the_beginning_of_a_prompt_is_reused(model, scripted, tokenizer):
    state = model.make_state()
    first = collect(model, PROMPT, state=state, max_tokens=6, ignore_eos=True)[-1]
    longer = [*PROMPT, *first.tokens, 9, 8, 7]
    fresh = collect(model, longer, max_tokens=6, ignore_eos=True)[-1]
    reused = collect(model, longer, state=state, max_tokens=6, ignore_eos=True)[-1]
    assert reused.tokens == fresh.tokens
    assert reused.cached_tokens == 10  # the last token of the first answer was never fed
    other = collect(model, [*PROMPT[:3], 50, 51], state=state, max_tokens=6, ignore_eos=True)[-1]
    assert other.cached_tokens == 3
    assert (
        other.tokens
        == collect(model, [*PROMPT[:3], 50, 51], max_tokens=6, ignore_eos=True)[-1].tokens
    )


def test_a_state_of_unknown_tokens_is_not_reused(model):
    state = model.make_state()
    model(tl.tensor([[1, 2, 3]]), state=state)
    assert collect(model, PROMPT, state=state, max_tokens=2)[-1].cached_tokens == 0


def test_seeds(model):
    def run(seed):
        options = {"temperature": 1.5, "seed": seed, "max_tokens": 12, "ignore_eos": True}
        return collect(model, PROMPT, **options)[-1].tokens

    assert run(3) == run(3)
    assert len({run(seed) for seed in range(4)}) == 4


def test_ids_behind_embeddings_are_not_reused(model):
    embeds = model.model.embed_tokens(tl.tensor([1, 2, 3, 4, 5]))
    state = model.make_state(1)
    params = SamplingParams(max_tokens=4)
    first = list(generate(model, params=params, state=state, inputs_embeds=embeds))[-1]
    prompt = [*first.tokens, 7]
    again = list(generate(model, prompt, params, state=state))[-1]
    fresh = list(generate(model, prompt, params))[-1]
    assert (again.tokens, again.cached_tokens) == (fresh.tokens, 0)
