"""CTC: the search against all alignments, the alignment against the best of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, ShapeError
from tallow.generate.ctc import CtcBeams, align, best_path, search

ALL = CtcBeams(width=10_000, prune=1e9, least=-math.inf)


def scores(frames, symbols, seed=0):
    drawn = np.random.default_rng(seed).normal(0, 1.5, (frames, symbols))
    return drawn - np.log(np.exp(drawn).sum(-1, keepdims=True))


def said(path, blank):
    return tuple(index for index, _ in itertools.groupby(path) if index != blank)


def every_text(log_probs, blank):
    """The probability of each text, over all alignments."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        score = sum(row[index] for row, index in zip(log_probs, path, strict=True))
        found.setdefault(said(path, blank), []).append(score)
    return {ids: np.logaddexp.reduce(each) for ids, each in found.items()}


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_a_search_that_keeps_all_finds_every_text_with_its_probability(seed, blank):
    log_probs = scores(5, 3, seed)
    want = every_text(log_probs, blank)
    found = search(tl.tensor(log_probs), blank, ALL)
    assert {each.ids for each in found} == want.keys()
    for each in found:
        assert each.score == pytest.approx(want[each.ids], abs=1e-5)
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)


def test_a_narrow_search_finds_the_best_text_of_sharp_scores():
    log_probs = scores(40, 8, 1) * 4
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    wide, narrow = (search(tl.tensor(log_probs), 0, b) for b in (CtcBeams(256), CtcBeams(32)))
    assert narrow[0].ids == wide[0].ids
    assert narrow[0].score <= wide[0].score + 1e-9
    assert len(narrow) <= 32


@pytest.mark.parametrize("ids", [(), (1,), (1, 1), (1, 2, 1)])
def test_an_alignment_is_the_likeliest_of_its_text(ids):
    log_probs = scores(6, 3, 5)
    paths = [p for p in itertools.product(range(3), repeat=6) if said(p, 0) == ids]
    best = max(sum(r[i] for r, i in zip(log_probs, p, strict=True)) for p in paths)
    found = align(tl.tensor(log_probs), ids, 0)
    assert said(found, 0) == ids
    got = sum(row[index] for row, index in zip(log_probs, found, strict=True))
    assert got == pytest.approx(best, abs=1e-5)


def test_nothing_is_said_in_no_frame():
    nothing = tl.zeros(0, 4)
    assert best_path(nothing) == []
    assert align(nothing, (), 0) == []
    (found,) = search(nothing, 0)
    assert found.ids == ()
    assert found.score == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ArgumentError, match="align: expected 3 frames or more, got 2"):
        align(tl.zeros(2, 3), (1, 1), 0)
    with pytest.raises(ArgumentError, match="blank: expected a symbol below 3"):
        search(tl.zeros(2, 3), 3)
    with pytest.raises(ShapeError, match="frames, symbols"):
        best_path(tl.zeros(2, 3, 4))
    with pytest.raises(ArgumentError, match="a width from 1"):
        CtcBeams(width=0)
