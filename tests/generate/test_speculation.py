"""Speculation: the answers are those of plain decoding, token for token, and cost fewer passes."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ModelError
from tallow.generate import Piece, Result, SamplingParams, generate
from tallow.generate.sampling import Sampler
from tallow.generate.speculation import DraftModel, PromptLookup
from tallow.models.states import KeyValue, Recurrent, Ring, State

PROMPT = [72, 101, 108, 108, 111]
REPEATED = [65, 66, 67, 68, 69, 70] * 4
LOOKUP = {"speculation": "prompt_lookup"}


def run(model, prompt, *, tokenizer=None, state=None, cancel=None, spec=None, **options):
    """The events of an answer, without times."""
    params = SamplingParams(**options)
    events = list(
        generate(
            model, prompt, params, tokenizer=tokenizer, state=state, cancel=cancel, **(spec or {})
        )
    )
    assert isinstance(events[-1], Result)
    return events


def said(events):
    """What speculation must not change."""
    last = events[-1]
    return (
        [e for e in events if isinstance(e, Piece)],
        (last.text, last.tokens, last.finish_reason, last.prompt_tokens, last.cached_tokens),
    )


class Copies:
    """Says `answers(token)` after a token; `widths` are those of passes that were no replays."""

    has_tokenizer = False
    end_ids = ()

    def __init__(self, answers, context=64, layer=lambda: KeyValue(1, 2), table=None):
        self.context, self.layer = context, layer
        rows = [[0.0] * 288 for _ in range(288)]
        for token, row in enumerate(rows):
            row[answers(token)] = 1.0
        self.table = tl.tensor(table or rows)  # logits by the last token
        self.vocab_size = len(self.table)
        self.widths = []

    def make_state(self, batch=1, capacity=256, dtype=tl.f32):
        layers = [self.layer()]
        return State(layers, batch, context=self.context, capacity=capacity, dtype=dtype)

    def decode(self, ids, state, *, embeds=None):
        self.widths.append(ids.shape[1])
        return ids + 0

    def head(self, ids):
        return tl.embedding(ids, self.table)


class Spoilt(DraftModel):
    """A draft of which every fifth guess is wrong."""

    def propose(self, tokens, count, sampler):
        guesses = super().propose(tokens, count, sampler)
        size = self.model.vocab_size
        places = range(len(tokens), len(tokens) + len(guesses))
        return [g if at % 5 else (g + 1) % size for at, g in zip(places, guesses, strict=True)]


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
    for options in ({}, {"temperature": 0.8, "seed": 4}):
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


# --- the distribution ---------------------------------------------------------------------------


def exact(logits, prompt, options, length):
    """Probability of each answer of `length` tokens, from the meaning of the options."""
    found = {(): 1.0}
    for _ in range(length):
        grown = {}
        for said, probability in found.items():
            history = [*prompt, *said]
            row = list(logits[history[-1]])
            for token in set(history):
                x = row[token]
                r = options["repetition_penalty"]
                row[token] = x / r if x > 0 else x * r
            kept = sorted(range(len(row)), key=lambda t: -row[t])[: options["top_k"]]
            weights = [math.exp(row[t] / options["temperature"]) for t in kept]
            for token, weight in zip(kept, weights, strict=True):
                grown[(*said, token)] = probability * weight / sum(weights)
        found = grown
    return found


def chi_square(counts, wanted, total):
    assert set(counts) <= set(wanted)
    return sum((counts[a] - total * p) ** 2 / (total * p) for a, p in wanted.items())


@pytest.mark.parametrize("guesses", ["prompt_lookup", "a draft"])
def test_samples_have_the_distribution_of_the_model(guesses):
    rng = random.Random(5)
    tables = [[[rng.gauss(0, 1) for _ in range(5)] for _ in range(5)] for _ in range(2)]
    model, draft = (Copies(lambda token: token, table=table) for table in tables)
    spec = {"speculation": draft if guesses == "a draft" else guesses, "num_speculative_tokens": 3}
    prompt = [1, 2, 3, 4, 1, 2, 0, 1, 2]
    options = {"temperature": 1.2, "top_k": 4, "repetition_penalty": 1.3}
    wanted = exact(tables[0], prompt, options, 3)
    counts, other, total, accepted, drafted = Counter(), Counter(), 2000, 0, 0
    for seed in range(total):
        result = run(model, prompt, spec=spec, seed=seed, max_tokens=3, **options)[-1]
        counts[result.tokens] += 1
        accepted, drafted = accepted + result.accepted_tokens, drafted + result.drafted_tokens
        other[run(draft, prompt, seed=seed, max_tokens=3, **options)[-1].tokens] += 1
    assert total / 10 < accepted < drafted
    # 64 answers: a true sample passes 103.4 once in a thousand; the draft's own is far beyond.
    assert len(wanted) == 64
    assert chi_square(counts, wanted, total) < 103.4
    seen = {answer: n for answer, n in other.items() if answer in wanted}
    assert chi_square(Counter(seen), wanted, total) > 500


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
    lookup, sampler = PromptLookup(), Sampler.greedy()
    text = [1, 2, 3, 4, 5, 9, 2, 3, 7, 8]
    assert lookup.propose(text, 4, sampler) == []
    text += [2, 3]  # the last occurrence counts
    assert lookup.propose(text, 4, sampler) == [7, 8, 2, 3]
    text += [4]  # and the longest match
    assert lookup.propose(text, 2, sampler) == [5, 9]
    assert PromptLookup().propose([6, 6, 6], 5, sampler) == [6] * 5  # a period is gone on with
    assert PromptLookup().propose([6], 5, sampler) == []


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
    recurrent = Copies(lambda token: token, layer=Recurrent)
    with pytest.raises(ModelError, match="a draft model whose state can be trimmed"):
        start(recurrent)
    with pytest.raises(ModelError, match="a model whose state can be trimmed"):
        start("prompt_lookup", model=recurrent)
    with pytest.raises(ArgumentError, match="inputs_embeds"):
        generate(model, inputs_embeds=tl.zeros(3, 8), speculation=model)
