"""Answers that go on where the context is full, beside the same thing done by hand."""

from __future__ import annotations

import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError
from tallow.generate import Result, SamplingParams, generate, generate_rows

PROMPT = [5, 9, 33, 12, 7, 40]


def by_hand(model, prompt, keep, count):
    """The answer by whole texts, of at most a context each."""
    read, last, answer = list(prompt[:-1]), prompt[-1], []
    while len(answer) < count:
        if len(read) == model.context:
            dropped = (len(read) - keep) // 2
            read = read[:keep] + read[keep + dropped :]
        read.append(last)
        last = int(model(tl.tensor([read])).logits[0, -1].argmax().item())
        answer.append(last)
    return tuple(answer)


def answer(model, keep, **options):
    params = SamplingParams(max_tokens=90, ignore_eos=True, context_shift=keep)
    *_, last = generate(model, PROMPT, params, **options)
    assert isinstance(last, Result)
    assert last.finish_reason == "length"
    return last


@pytest.mark.parametrize("name", ["llama", "gpt_neo", "bloom", "gemma2", "jamba", "deepseek_v2"])
@pytest.mark.parametrize("keep", [0, 4, -1])
def test_answers_go_on(name, keep):
    """Turned positions, learned ones, slopes, windows, recurrent layers: none is a special case."""
    given = {} if name == "gpt_neo" else {"context": 24}  # which has no more and no fewer positions
    model = Case(name).load(**given)
    wanted = by_hand(model, PROMPT, len(PROMPT) if keep < 0 else keep, 90)
    assert answer(model, keep).tokens == wanted
    state = model.make_state(1)
    found = answer(model, keep, state=state, speculation="prompt_lookup")
    assert found.tokens == wanted
    assert answer(model, keep, speculation=Case(name).load(**given)).tokens == wanted
    assert state.lengths[0] == len(state.tokens[0]) <= model.context


def test_a_state_goes_on_behind_a_shift():
    model = Case("llama").load(context=24)
    state = model.make_state(1)
    answer(model, 2, state=state)
    more = [*state.tokens[0][:18], 3, 4]
    params = SamplingParams(max_tokens=3)
    *_, found = generate(model, more, params, state=state)
    assert found.cached_tokens == 18
    *_, wanted = generate(model, more, params)
    assert found.tokens == wanted.tokens


def test_rows_are_as_if_alone():
    model = Case("llama").load(context=24)
    params = SamplingParams(max_tokens=60, ignore_eos=True, context_shift=3)
    prompts = [PROMPT, PROMPT[::-1], [8]]
    ends = {at: e for at, e in generate_rows(model, prompts, params) if isinstance(e, Result)}
    for at, prompt in enumerate(prompts):
        assert ends[at].tokens == by_hand(model, prompt, min(3, len(prompt)), 60)


def test_without_a_limit_an_answer_ends_at_its_end():
    model = Case("llama").load(context=24)
    ids = by_hand(model, PROMPT, 0, 90)
    end = next(token for token in ids[40:] if token not in ids[:40])
    model.end_ids = frozenset([end])
    params = SamplingParams(max_tokens=None, context_shift=0)
    *_, last = generate(model, PROMPT, params)
    assert (last.finish_reason, last.tokens) == ("stop", ids[: ids.index(end)])


def test_refusals():
    model = Case("llama").load(context=24)
    for keep in (-2, 1.5, True):
        with pytest.raises(ArgumentError, match="context_shift: expected an integer"):
            SamplingParams(context_shift=keep)
    with pytest.raises(ArgumentError, match="at most half of the context of 24 to be kept"):
        generate(model, [3] * 20, SamplingParams(context_shift=13))
    with pytest.raises(ArgumentError, match="context_shift: expected a prompt of ids"):
        generate(model, inputs_embeds=tl.zeros(3, 32), params=SamplingParams(context_shift=0))
