"""Speculation where tokens are sampled: the probabilities of answers are those without it."""

from __future__ import annotations

import math
import random
from collections import Counter
from types import SimpleNamespace

import pytest

import tallow as tl
from generate.speculation_cases import Copies, run
from tallow.generate import Sampler


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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.6, "top_k": 5},
        {"temperature": 1.5, "top_p": 0.7},
        {"temperature": 1.5, "top_p": 0.0},
        {"top_k": 9, "top_p": 0.8, "min_p": 0.1},
        {"temperature": 0.9, "min_p": 0.2},
        {"temperature": 1.1, "repetition_penalty": 1.4, "top_k": 12},
        {"frequency_penalty": 0.4, "presence_penalty": 0.3, "penalty_window": 3},
        {"typical_p": 0.6, "logit_bias": {3: 2.0}},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_probabilities_are_those_of_the_draws(options):
    rng = random.Random(2)
    logits = tl.tensor([rng.gauss(0, 2) for _ in range(20)])
    history, draws = [3, 7, 7, 1, 7, 0, 3], 4000
    sampler = Sampler(**{"temperature": 1.0, **options})
    counts = [0] * 20
    for i in range(draws):  # evenly over all random numbers, so that counts are nearly exact
        sampler._random = SimpleNamespace(random=lambda i=i: (i + 0.5) / draws)
        token, probabilities = sampler.draw(logits, history)
        counts[token] += 1
    for count, probability in zip(counts, probabilities.tolist(), strict=True):
        assert abs(count / draws - probability) <= 1.01 / draws
        assert count or probability <= 1 / draws


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
