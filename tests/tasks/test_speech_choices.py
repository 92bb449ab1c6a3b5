"""How ids of a transcript are chosen, beside OpenAI's beam search in words of Python."""

import math

import numpy as np
import pytest

from tallow.errors import ModelError, NonFiniteError
from tallow.tasks.speech_choices import Beamed, Drawn, ranked

END, SIZE = 0, 7


class Free:
    """No rules, but that no text begins with its end."""

    def apply(self, scores, said):
        if not said:
            scores[END] = -math.inf


def logits(said, seed):
    """Scores of what follows, drawn by what was said."""
    return np.random.default_rng([seed, *said]).normal(size=SIZE).astype(np.float32) * 2


def chances(said, seed):
    scores = logits(said, seed).astype(np.float64)
    Free().apply(scores, said)
    return scores - np.log(np.exp(scores).sum())


def searched(seed, beams, room, patience, penalty):
    """What `BeamSearchDecoder` and `MaximumLikelihoodRanker` find, in words of Python."""
    most = round(beams * patience)
    live, finished = {(): 0.0}, {}
    for _ in range(room):
        scores = {}
        for said, total in live.items():
            own = chances(said, seed)
            for token in np.argsort(-own)[: beams + 1]:
                scores[(*said, int(token))] = total + own[token]
        after = {}
        for said in sorted(scores, key=scores.get, reverse=True):
            if said[-1] != END:
                after[said] = scores[said]
            elif len(finished) < most:
                finished[said[:-1]] = scores[said]
            if len(after) == beams:
                break
        live = after
        if len(finished) >= most:
            break
    for said in sorted(live, key=live.get, reverse=True):
        if len(finished) < beams:
            finished[said] = live[said]

    def score(said):
        length = len(said) if penalty is None else ((5 + len(said)) / 6) ** penalty
        return finished[said] / length

    best = max(finished, key=score)
    return list(best), finished[best]


def run(made, seed, penalty=None):
    rows = np.stack([logits(said, seed) for said in made.tokens])
    while made.choose(rows):
        rows = np.stack([logits(said, seed) for said in made.tokens])
    return made.best(penalty)


@pytest.mark.parametrize("penalty", [None, 0.6], ids=["mean", "penalty"])
@pytest.mark.parametrize("patience", [1.0, 2.0, 0.4], ids=["plain", "patient", "hasty"])
@pytest.mark.parametrize("beams", [1, 3, 5])
def test_beams_are_those_of_the_reference(beams, patience, penalty):
    for seed in range(20):
        made = Beamed(Free(), END, 8, beams, patience)
        tokens, total = run(made, seed, penalty)
        wanted, sum_of = searched(seed, beams, 8, max(patience, 1 / beams), penalty)
        assert tokens == wanted
        assert total == pytest.approx(sum_of, abs=1e-4)


def test_parents_are_the_rows_that_are_continued():
    made = Beamed(Free(), END, 6, 3, 1.0)
    before = made.tokens
    while made.choose(np.stack([logits(said, 3) for said in before])):
        grown = [
            [*before[row], said[-1]] for row, said in zip(made.parents, made.tokens, strict=True)
        ]
        assert grown == made.tokens
        before = made.tokens


def test_one_beam_is_the_likeliest_id():
    for seed in range(20):
        greedy = run(Drawn(Free(), END, 8, 1, 0.0, None), seed)
        assert run(Beamed(Free(), END, 8, 1, 1.0), seed)[0] == greedy[0]


def test_the_best_of_what_is_drawn():
    """Rows that have ended wait for the others, and the best mean wins."""
    made = Drawn(Free(), END, 8, 6, 1.0, np.random.default_rng(5))
    tokens, total = run(made, 11)
    texts = [said[: said.index(END)] if END in said else said for said in made.tokens]
    assert len({tuple(text) for text in texts}) > 2
    means = []
    for text, said in zip(texts, made.tokens, strict=True):
        ids = said[: len(text) + 1]
        sums = sum(chances(tuple(ids[:at]), 11)[token] for at, token in enumerate(ids))
        means.append(sums / max(len(text), 1))
    best = int(np.argmax(means))
    assert tokens == texts[best]
    assert total / max(len(tokens), 1) == pytest.approx(means[best], abs=1e-4)


def test_lengths_that_are_compared():
    short, long = ([1], -1.0), ([1, 2, 3, 4], -3.0)
    assert ranked([short, long], None) is long  # by their means
    assert ranked([short, long], 0.0) is short  # by their sums
    assert ranked([([], -0.5), long], None)[0] == []


def test_scores_that_cannot_be_chosen_by():
    class Shut:
        def apply(self, scores, said):
            scores[:] = -math.inf

    with pytest.raises(ModelError, match="rules against all"):
        Beamed(Shut(), END, 8, 2, 1.0).choose(np.zeros((2, SIZE), np.float32))
    with pytest.raises(NonFiniteError, match="finite scores"):
        Drawn(Free(), END, 8, 1, 0.0, None).choose(np.full((1, SIZE), np.nan, np.float32))


def test_rows_whose_every_continuation_ends():
    class Ends:
        def apply(self, scores, said):
            if said:
                scores[1:] = -math.inf

    made = Beamed(Ends(), END, 8, 3, 9.0)
    tokens, _ = run(made, 1)
    assert len(tokens) == 1
