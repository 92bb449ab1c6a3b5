"""Logits processors against transformers' classes, and against what each promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tallow as tl
from generate.processor_cases import CASES, ENDS, NEW, ROWS, SIZE
from tallow.errors import ArgumentError
from tallow.generate import GenerationConfig
from tallow.generate.processors import Step, apply


def scores(seed=0):
    return np.random.default_rng(seed).normal(0, 3, (len(ROWS), SIZE)).astype(np.float32)


def processed(given, **options):
    config = GenerationConfig(**{"top_k": None, "do_sample": True, **options})
    prompt = len(ROWS[0]) - NEW
    made = config.processors(prompt, config.new_tokens(prompt))
    before = tl.tensor(given)
    out = apply(made, Step(ROWS, NEW), before).numpy()
    np.testing.assert_array_equal(before.numpy(), given)  # nothing is changed in place
    return out


@pytest.mark.needs_torch
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_scores_are_transformers_s(name, seed):
    import torch
    from transformers.generation import logits_process

    options, classes = CASES[name]
    given = scores(seed)
    if name == "numbers":
        given[0, :3] = np.nan, np.inf, -np.inf
    wanted = torch.tensor(given)
    for kind, arguments in classes:
        wanted = getattr(logits_process, kind)(*arguments)(torch.tensor(ROWS), wanted)
    found = processed(given, **options)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-5)


def ruled_out(found):
    return [set(np.flatnonzero(row == -math.inf).tolist()) for row in found]


def test_ruled_out_tokens():
    given = scores()
    assert ruled_out(processed(given, suppress_tokens=[0, 5])) == [{0, 5}] * 4
    assert ruled_out(processed(given, no_repeat_ngram_size=2)) == [{3, 9}, {5}, set(), {7}]
    assert ruled_out(processed(given, no_repeat_ngram_size=3)) == [{3, 9}, {5}, set(), {7}]
    words = {"bad_words_ids": [[4], [2], [3, 7, 11]], "eos_token_id": ENDS}
    assert ruled_out(processed(given, **words)) == [{4, 11}, {4}, {4}, {4}]
    assert ruled_out(processed(given, min_length=8, eos_token_id=ENDS)) == [{2, 13}] * 4
    assert ruled_out(processed(given, min_length=7, eos_token_id=ENDS)) == [set()] * 4
    assert ruled_out(processed(given, min_new_tokens=4, eos_token_id=ENDS)) == [{2, 13}] * 4


def test_forced_tokens():
    given = scores()
    found = processed(given, forced_decoder_ids=[[7, 30], [9, 1]])
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in found] == [[30]] * 4
    assert (processed(given, forced_decoder_ids=[[6, 30]]) == given).all()
    found = processed(given, forced_eos_token_id=[2, 13], max_length=8)
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in found] == [[2, 13]] * 4
    bos = GenerationConfig(forced_bos_token_id=6).processors(1, 20)
    first = apply(bos, Step([[1], [1, 2]], 0), tl.tensor(given[:2])).numpy()
    assert np.flatnonzero(np.isfinite(first[0])).tolist() == [6]
    assert (first[1] == given[1]).all()


def test_suppressed_at_the_beginning():
    given = tl.tensor(scores()[:1])

    def banned(prompt, new, **options):
        config = GenerationConfig(begin_suppress_tokens=[4, 5], **options)
        ids = [[0] * (prompt + new)]
        out = apply(config.processors(prompt, 20), Step(ids, new), given).numpy()
        return np.flatnonzero(out[0] == -math.inf).tolist() == [4, 5]

    assert [banned(3, new) for new in range(3)] == [True, False, False]
    assert [banned(1, new) for new in range(3)] == [True, False, False]
    assert not banned(1, 0, forced_bos_token_id=6)
    assert banned(1, 1, forced_bos_token_id=6)


def test_bias_is_added():
    given = scores()
    found = processed(given, sequence_bias=[[[4], 2.5], [[3, 7, 11], -3.0]])
    wanted = given.copy()
    wanted[:, 4] += 2.5
    wanted[0, 11] -= 3.0
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    with pytest.raises(ArgumentError, match="ids from 0 to 39"):
        processed(given, sequence_bias=[[[40], 1.0]])


def test_sampling_counts_for_sampling_alone():
    given = scores()
    assert (processed(given, temperature=3.0, top_p=0.1, do_sample=False) == given).all()
    assert np.isfinite(processed(given, top_k=5)).sum(1).tolist() == [5] * 4
