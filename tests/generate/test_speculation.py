"""Speculation: the answers are those of plain decoding, token for token, and cost fewer passes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

import tallow as tl
from generate.speculation_cases import LOOKUP, PROMPT, REPEATED, Copies, Spoilt, run, said
from tallow.errors import ArgumentError
from tallow.generate import Piece, SamplingParams, generate
from tallow.generate.sampling import Sampler
from tallow.generate.speculation import PromptLookup
from tallow.models.states import Ring

# --- the same answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["llama", "qwen2", "qwen3", "mistral", "llama3"])
@pytest.mark.parametrize("most", [1, 2, 4, 15])
def test_greedy_is_plain_greedy(golden_model, case, most):
    model = golden_model(case)
    rng = random.Random(most)
    for length in (1, 2, 5, 17):
        word = [rng.randrange(3, model.vocab_size) for _ in range(length)]
        options = {"max_tokens": 24, "ignore_eos": True}
        for prompt in (word, word * 2):
            plain = run(model, prompt, **options)
            for speculation in ("prompt_lookup", model):
                spec = {"speculation": speculation, "num_speculative_tokens": most}
                assert said(run(model, prompt, spec=spec, **options)) == said(plain)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 5},
        {"temperature": 1.0, "top_p": 0.6, "min_p": 0.05},
        {"temperature": 0.9, "typical_p": 0.7},
        {"temperature": 0.5, "repetition_penalty": 1.3, "penalty_window": 8},
        {"repetition_penalty": 1.2, "frequency_penalty": 0.3, "presence_penalty": 0.2},
        {"no_repeat_ngram_size": 3},
        {"logit_bias": {65: 4.0}, "bad_words_ids": [[66, 67]], "min_tokens": 6},
    ],
    ids=lambda options: "-".join(options),
)
def test_samples_are_those_of_the_seed(model, options):
    for seed in range(6):
        options = {**options, "seed": seed, "max_tokens": 20}
        plain = said(run(model, REPEATED, **options))
        assert said(run(model, REPEATED, spec=LOOKUP, **options)) == plain
        if "temperature" not in options:
            assert said(run(model, REPEATED, spec={"speculation": model}, **options)) == plain


@pytest.mark.parametrize("form", ["f16", "q4_0", "q8_0"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_weights_in_blocks_and_a_half_cache(golden_model, form, dtype):
    model = golden_model(f"llama/llama.{form}.gguf")  # multiplied with int8 activations
    options = {"max_tokens": 24, "ignore_eos": True}
    for prompt in (PROMPT, PROMPT * 3, REPEATED):
        plain = run(model, prompt, state=model.make_state(dtype=getattr(tl, dtype)), **options)
        for speculation in ("prompt_lookup", model, Spoilt(model)):
            state = model.make_state(dtype=getattr(tl, dtype))
            found = run(model, prompt, state=state, spec={"speculation": speculation}, **options)
            assert said(found) == said(plain)


@pytest.mark.parametrize("case", ["llama", "qwen2", "qwen3", "mistral", "llama3"])
def test_what_a_wrong_guess_has_written_is_seen_by_none(golden_model, case):
    model, accepted, drafted = golden_model(case), 0, 0
    for options in ({}, {"repetition_penalty": 1.3}):
        options = {"max_tokens": 40, "ignore_eos": True, **options}
        for prompt in ([7, 30, 12, 5, 9], [21, 22, 23, 24] * 5):
            plain, spoilt = run(model, prompt, **options), Spoilt(model)
            found = run(model, prompt, spec={"speculation": spoilt}, **options)
            assert said(found) == said(plain)
            accepted += found[-1].accepted_tokens
            drafted += found[-1].drafted_tokens
    assert drafted / 3 < accepted < drafted


def test_near_the_end_of_the_context(model):
    for length in range(model.context - 20, model.context):
        prompt = (REPEATED * 100)[:length]
        options = {"max_tokens": None, "ignore_eos": True}
        plain = said(run(model, prompt, **options))
        assert plain[1][2] == "length"
        assert said(run(model, prompt, spec=LOOKUP, **options)) == plain
        assert said(run(model, prompt, spec={"speculation": model}, **options)) == plain


# --- how much is guessed ------------------------------------------------------------------------


def test_a_model_as_its_own_draft_is_always_right(model):
    options = {"max_tokens": 32, "ignore_eos": True}
    for more in ({}, {"temperature": 1.0, "seed": 3}):
        result = run(model, PROMPT, spec={"speculation": model}, **options, **more)[-1]
        assert result.accepted_tokens == result.drafted_tokens > 20
    plain = run(model, PROMPT, **options)[-1]
    assert (plain.drafted_tokens, plain.accepted_tokens) == (0, 0)


def test_a_draft_that_is_always_wrong(model):
    options = {"max_tokens": 16, "ignore_eos": True}
    plain = run(model, PROMPT, **options)
    wrong = Copies(lambda token: next(t for t in range(288) if t not in plain[-1].tokens))
    wrong.context = model.context
    found = run(model, PROMPT, spec={"speculation": wrong}, **options)
    assert said(found) == said(plain)
    assert found[-1].accepted_tokens == 0
    # It starts at three and goes on with one; the last token leaves no room for any.
    assert found[-1].drafted_tokens == 3 + 13


def test_a_text_that_repeats_takes_few_passes():
    cycle = Copies(lambda token: 65 + (token - 64) % 6)
    events = run(cycle, REPEATED, max_tokens=40, spec=LOOKUP)
    assert list(events[-1].tokens) == [65 + i % 6 for i in range(40)]
    # The first token comes from the prompt; then passes of 4, 8, 16, and of 8 (a replay), 2 and 1.
    assert cycle.widths == [24, 4, 8, 16, 2, 1]
    assert events[-1].drafted_tokens == events[-1].accepted_tokens == 3 + 7 + 15 + 7 + 1


def test_a_draft_of_a_smaller_context_stops_guessing():
    follows = lambda token: (token + 1) % 288  # noqa: E731
    model, draft = Copies(follows), Copies(follows, context=20)
    events = run(model, PROMPT, max_tokens=40, spec={"speculation": draft})
    assert list(events[-1].tokens) == [112 + i for i in range(40)]
    assert 0 < events[-1].drafted_tokens <= 15


def test_what_is_looked_up():
    lookup = PromptLookup()

    def guess(lookup, text, count):
        return [token for token, _ in lookup.propose(text, count, Sampler.greedy())]

    text = [1, 2, 3, 4, 5, 9, 2, 3, 7, 8]
    assert guess(lookup, text, 4) == []
    text += [2, 3]  # the last occurrence counts
    assert guess(lookup, text, 4) == [7, 8, 2, 3]
    text += [4]  # and the longest match
    assert guess(lookup, text, 2) == [5, 9]
    assert guess(PromptLookup(), [6, 6, 6], 5) == [6] * 5  # a period is gone on with
    assert guess(PromptLookup(), [6], 5) == []


# --- where an answer ends -----------------------------------------------------------------------


@pytest.mark.parametrize("stop", ["FAB", "D", "AB", "ZZ"])
def test_stop_strings_inside_a_run(tokenizer, stop):
    ids = tokenizer.encode("ABCDEF" * 5, add_special=False)
    after = dict(pairwise(ids))
    assert len(after) == 6  # one token a letter
    cycle = Copies(lambda token: after.get(token, 0))
    options = {"tokenizer": tokenizer, "stop": stop, "max_tokens": 30}
    plain = run(cycle, ids[:24], **options)
    assert said(run(cycle, ids[:24], spec=LOOKUP, **options)) == said(plain)
    assert plain[-1].finish_reason == ("length" if stop == "ZZ" else "stop")


def test_end_token_inside_a_run(model, tokenizer):
    end = min(tokenizer.eos_ids)
    after = {65: 66, 66: 67, 67: 68, 68: 69, 69: end, end: 65}
    cycle = Copies(lambda token: after.get(token, 65))
    prompt = [65, 66, 67, 68, 69, end, 65, 66]
    for more in ({}, {"ignore_eos": True}, {"min_tokens": 5}):
        options = {"tokenizer": tokenizer, "max_tokens": 20, **more}
        found, plain = run(cycle, prompt, spec=LOOKUP, **options), run(cycle, prompt, **options)
        assert said(found) == said(plain)
        if not more:
            assert found[-1].tokens == (67, 68, 69)
            assert found[-1].finish_reason == "stop"


def test_cancelled_inside_a_run():
    def answer(spec):
        cycle = Copies(lambda token: 65 + (token - 64) % 6)
        state, asked = cycle.make_state(), []

        def cancel():
            asked.append(1)
            return len(asked) > 9

        events = run(cycle, REPEATED, state=state, cancel=cancel, max_tokens=40, spec=spec)
        return said(events), len(asked), state.lengths, state.tokens

    assert answer(LOOKUP) == answer(None)
    assert answer(None)[0][1][2] == "cancelled"


# --- the state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("closed_after", [3, 6, 11, None])
def test_the_next_turn_goes_on_with_the_state(model, closed_after):
    def turns(spec):
        state = model.make_state(1, 26)  # grows in a run, too
        params = SamplingParams(max_tokens=24, ignore_eos=True)
        events = generate(model, REPEATED, params, state=state, **spec)
        pieces = []
        for event in events:
            if isinstance(event, Piece) and event.token is not None:
                pieces.append(event)
            if len(pieces) == closed_after:
                events.close()
        held = (list(state.lengths), [list(ids) for ids in state.tokens])
        assert state.tokens[0] == [*REPEATED, *(p.token for p in pieces)][: state.lengths[0]]
        again = [*REPEATED, *(p.token for p in pieces), 80, 81]
        return pieces, held, said(run(model, again, state=state, spec=spec, max_tokens=12))

    plain = turns({})
    assert plain[2][1][4] >= len(REPEATED)
    assert turns(LOOKUP) == plain
    assert turns({"speculation": model}) == plain


@pytest.mark.parametrize("window", [1, 2, 3, 5, 8, 30])
def test_layers_that_look_back_over_a_window(window):
    cycle = Copies(lambda token: 65 + (token - 64) % 6, layer=lambda: Ring(1, 2, window))
    events = run(cycle, REPEATED, max_tokens=30, spec=LOOKUP)
    assert list(events[-1].tokens) == [65 + i % 6 for i in range(30)]
    assert max(cycle.widths[1:]) == min(window, 16)


# --- what is refused ----------------------------------------------------------------------------


def test_refusals(model):
    def start(speculation, most=15, model=model, **more):
        return generate(model, PROMPT, speculation=speculation, num_speculative_tokens=most, **more)

    with pytest.raises(ArgumentError, match="speculation: expected 'prompt_lookup' or a model"):
        start("lookup")
    with pytest.raises(ArgumentError, match="speculation: expected 'prompt_lookup' or a model"):
        start(7)
    for most in (0, -1, 2.0, True):
        with pytest.raises(ArgumentError, match="num_speculative_tokens: expected an integer"):
            start("prompt_lookup", most)
    other = Copies(lambda token: token)
    other.vocab_size = 100
    with pytest.raises(ArgumentError, match="of the same vocabulary .* got Copies of 100"):
        start(other)
    with pytest.raises(ArgumentError, match="inputs_embeds"):
        generate(model, inputs_embeds=tl.zeros(3, 8), speculation=model)
