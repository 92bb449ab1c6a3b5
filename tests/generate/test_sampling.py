"""SamplingParams refuse nonsense; the Sampler follows its parameters."""

from __future__ import annotations

import math
from collections import Counter
from typing import get_type_hints

import pytest

import tallow as tl
from tallow.errors import ArgumentError
from tallow.generate import Sampler, SamplingOptions, SamplingParams

NAN, INF = float("nan"), float("inf")
BAD = [
    ("max_tokens", [0, -1, 1.5, "9", True]),
    ("temperature", [-0.1, NAN, INF, "1", None]),
    ("top_k", [-1, 2.5, 2**31, None]),
    ("top_p", [-0.1, 1.1, NAN]),
    ("min_p", [-0.1, 1.1, NAN]),
    ("repetition_penalty", [0, -1, NAN, INF]),
    ("frequency_penalty", [NAN, INF, None]),
    ("presence_penalty", [NAN, INF, None]),
    ("penalty_window", [-2, 1.5]),
    ("typical_p", [-0.1, 1.1, None]),
    ("no_repeat_ngram_size", [-1, 2.0]),
    ("min_tokens", [-1, 1.5]),
    ("bad_words_ids", [[3], [[]], "ab", None]),
    ("suppress_tokens", [[-1], ["a"], 5, "5"]),
    ("begin_suppress_tokens", [[1.5], None]),
    ("logit_bias", [[3], {3: "x"}, {-1: 1.0}, {"3": 1.0}, {3: NAN}]),
    ("seed", ["x", 1.5]),
    ("stop", [[""], "", [1], 5]),
]


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, vs in BAD for v in vs])
def test_bad_values(name, value):
    with pytest.raises(ArgumentError, match=rf"SamplingParams\.{name}: expected"):
        SamplingParams(**{name: value})


def test_options_are_the_fields():
    assert get_type_hints(SamplingOptions).keys() == SamplingParams.__dataclass_fields__.keys()
    with pytest.raises(ArgumentError, match="temprature"):
        SamplingParams.of(None, {"temprature": 1.0})
    base = SamplingParams(top_k=3, seed=1)
    assert SamplingParams.of(base, {"top_k": 5}) == SamplingParams(top_k=5, seed=1)
    assert SamplingParams(stop="x").stop == ("x",)
    assert SamplingParams(stop=["x", "y"]).stop == ("x", "y")


def test_params_are_values():
    made = [
        SamplingParams(bad_words_ids=[[1, 2]], suppress_tokens=[3], logit_bias={4: 1.0}, stop="x")
        for _ in range(2)
    ]
    assert made[0] == made[1] != SamplingParams()
    assert len({*made, SamplingParams()}) == 2


def draws(count=3000, logits=(1.0, 2.0, 3.0, 0.0), tokens=(), **options):
    sampler = Sampler(seed=7, **{"temperature": 1.0, **options})
    row = tl.tensor(list(logits))
    return Counter(sampler(row, list(tokens)) for _ in range(count))


def shares(logits, temperature=1.0):
    weights = [math.exp(x / temperature) for x in logits]
    return [w / sum(weights) for w in weights]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature):
    found = draws(temperature=temperature)
    for token, share in enumerate(shares((1.0, 2.0, 3.0, 0.0), temperature)):
        assert found[token] / 3000 == pytest.approx(share, abs=4 * math.sqrt(share / 3000) + 0.002)


def test_cuts():
    assert draws(300, top_k=2).keys() == {1, 2}
    assert draws(300, top_k=1).keys() == {2}
    assert draws(300, top_p=0.6).keys() == {2}
    assert draws(300, top_p=0.8).keys() == {1, 2}
    assert draws(300, min_p=0.3).keys() == {1, 2}


def test_extreme_temperatures():
    assert draws(50, temperature=1e-30).keys() == {2}
    assert draws(500, temperature=1e30).keys() == {0, 1, 2, 3}


def test_greedy():
    sampler = Sampler()
    assert sampler(tl.tensor([1.0, 5.0, 3.0])) == 1
    assert Sampler.greedy()(tl.tensor([1.0, 5.0, 9.0])) == 2


def test_penalties():
    row = tl.tensor([1.0, 2.0, 3.0, 0.0])
    assert Sampler(repetition_penalty=2.0)(row, [2]) == 1
    assert Sampler(presence_penalty=1.5)(row, [2, 2, 2]) == 1
    assert Sampler(frequency_penalty=0.4)(row, [2]) == 2
    assert Sampler(frequency_penalty=0.4)(row, [2, 2, 2]) == 1
    assert Sampler(presence_penalty=1.5, penalty_window=2)(row, [2, 0, 0]) == 2
    assert Sampler(presence_penalty=1.5, penalty_window=-1)(row, [2, *[0] * 500]) == 1
    assert Sampler(presence_penalty=1.5, penalty_window=0)(row, [2]) == 2
    assert Sampler(repetition_penalty=2.0)(tl.tensor([-1.0, -1.5]), [0]) == 1


def test_seeds():
    def run(seed):
        sampler = Sampler(temperature=1.0, seed=seed)
        return [sampler(tl.zeros(100)) for _ in range(20)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(None) != run(None)


def test_tokens_that_are_ruled_out():
    row = tl.tensor([1.0, 2.0, 3.0, 0.0])
    assert Sampler(suppress_tokens=[2])(row) == 1
    assert Sampler(logit_bias={2: -5.0, 3: 2.5})(row) == 3
    assert Sampler(no_repeat_ngram_size=2)(row, [0, 2, 0]) == 1
    assert Sampler(no_repeat_ngram_size=3)(row, [0, 2, 0]) == 2
    assert Sampler(bad_words_ids=[[2], [0, 1]])(row, [0]) == 0
    assert draws(300, suppress_tokens=[1, 3]).keys() == {0, 2}
    first = Sampler(begin_suppress_tokens=[2])
    assert [first(row), first(row)] == [1, 2]
    late = Sampler(min_tokens=2, ends=[2])
    assert [late(row) for _ in range(3)] == [1, 1, 2]
    assert row.tolist() == [1.0, 2.0, 3.0, 0.0]


def test_typical_tokens():
    # Of one certain token and many equal ones, the expected surprise is nearest to the many.
    logits = [6.0, *[1.0] * 400]
    assert 0 in draws(200, logits)
    assert 0 not in draws(200, logits, typical_p=0.4)
    assert Sampler(typical_p=0.4)(tl.tensor(logits)) == 0  # the likeliest is not drawn


def test_there_must_be_a_choice():
    for options in ({"suppress_tokens": [0, 1, 2]}, {"logit_bias": dict.fromkeys(range(3), -INF)}):
        with pytest.raises(ArgumentError, match="a token that may be chosen"):
            Sampler(**options)(tl.tensor([1.0, 2.0, 3.0]))
