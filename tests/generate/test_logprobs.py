"""Log-probabilities of answers are those of a whole pass over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError
from tallow.generate import SamplingParams

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "seed": 1}], ids=["greedy", "drawn"])
def test_they_are_those_of_a_whole_pass(options):
    with tl.LLM(FOLDER, activations="float") as llm:
        ids = llm.tokenizer.encode("Hello")
        result = llm.generate(ids, max_tokens=8, ignore_eos=True, logprobs=3, **options)
        logits = llm.logits([*ids, *result.tokens]).numpy().astype(np.float64)[len(ids) - 1 : -1]
        wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        assert [each.token for each in result.logprobs] == list(result.tokens)
        for each, row in zip(result.logprobs, wanted, strict=True):
            assert each.logprob == pytest.approx(row[each.token], abs=1e-4)
            best = np.argsort(-row)[:3]
            assert [token for token, _ in each.top] == best.tolist()
            assert [value for _, value in each.top] == pytest.approx(row[best], abs=1e-4)
            if not options:
                assert each.top[0] == (each.token, each.logprob)


def test_batches_and_speculation_give_the_same():
    options = {"max_tokens": 8, "ignore_eos": True}
    with tl.LLM(FOLDER) as llm, tl.LLM(FOLDER, speculation="prompt_lookup") as guessing:
        alone = llm.generate("Hello", logprobs=2, **options)
        params = [SamplingParams(logprobs=2, **options), SamplingParams(**options)]
        first, second = llm.generate_batch(["Hello", "Hi"], params)
        assert first.logprobs == alone.logprobs
        assert second.logprobs == ()
        assert guessing.generate("Hello", logprobs=2, **options).logprobs == alone.logprobs


def test_without_the_likeliest_and_refused():
    with tl.LLM(FOLDER) as llm:
        found = llm.generate("Hello", max_tokens=3, ignore_eos=True, logprobs=0).logprobs
        assert len(found) == 3
        assert all(each.top == () for each in found)
        with pytest.raises(ArgumentError, match="logprobs: expected an integer of at least 0"):
            llm.generate("Hello", logprobs=-1)


def test_samples_come_best_first():
    with tl.LLM(FOLDER) as llm:
        options = {"max_tokens": 5, "ignore_eos": True, "temperature": 2.0}
        found = llm.samples("Hello", 4, seed=7, **options)
        means = [np.mean([each.logprob for each in result.logprobs]) for result in found]
        assert means == sorted(means, reverse=True)
        alone = [llm.generate("Hello", seed=7 + i, **options).tokens for i in range(4)]
        assert sorted(result.tokens for result in found) == sorted(alone)
        with pytest.raises(ArgumentError, match="a temperature above 0"):
            llm.samples("Hello", 2)
