"""How the ids of a window's transcript are chosen: greedily, drawn several times, or by beams.

Source: `GreedyDecoder`, `BeamSearchDecoder` and `MaximumLikelihoodRanker` of OpenAI's Whisper
(arXiv 2212.04356); patience is arXiv 2204.05424, the length penalty arXiv 1609.08144 (14).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any, Protocol

from tallow.errors import ModelError, NonFiniteError
from tallow.tasks.speech_rules import Rules

NEVER = -math.inf

Written = tuple[list[int], float]  # ids without the end, and their summed log-probability


class Choices(Protocol):
    """The transcripts of one window that are written at once, each a row of the decoder.

    After `choose`, `tokens` are the ids of each row, and `parents` the rows that they continue.
    """

    tokens: list[list[int]]
    parents: list[int]

    def choose(self, scores: Any) -> bool:
        """Take the next id of each row from logits `(rows, vocabulary)`; whether more may come."""

    def best(self, length_penalty: float | None) -> Written:
        """The best transcript."""


class Drawn:
    """Transcripts that are drawn at a temperature, each for itself; at 0 the likeliest ids."""

    def __init__(
        self, rules: Rules, end: int, room: int, rows: int, temperature: float, source: Any
    ) -> None:
        self._rules, self._end, self._room = rules, end, room
        self._temperature, self._source = temperature, source
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.parents = list(range(rows))
        self._sums = [0.0] * rows

    def choose(self, scores: Any) -> bool:
        """Take the next id of each row; one that has ended goes on with ends until all have."""
        going = [self._take(row, each) for row, each in enumerate(scores)]
        return any(going)

    def _take(self, row: int, scores: Any) -> bool:
        said = self.tokens[row]
        if said and said[-1] == self._end:
            said.append(self._end)
            return False
        chances = log_chances(self._rules, scores, said)
        token = self._drawn(chances) if self._temperature > 0 else int(chances.argmax())
        self._sums[row] += float(chances[token])
        said.append(token)
        return token != self._end and len(said) < self._room

    def _drawn(self, chances: Any) -> int:
        import numpy as np

        top = chances.max()
        drawn = np.exp((chances - top).astype(np.float64) / self._temperature)
        return int(self._source.choice(len(drawn), p=drawn / drawn.sum()))

    def best(self, length_penalty: float | None) -> Written:
        """The one of the best score, of several equals the first."""
        cut = [said[: said.index(self._end)] if self._end in said else said for said in self.tokens]
        return ranked(list(zip(cut, self._sums, strict=True)), length_penalty)


class Beamed:
    """The likeliest transcripts at each step; `patience` times as many are finished before it ends.

    The end of a text is among what continues it: a row that ends makes room for another.
    """

    def __init__(self, rules: Rules, end: int, room: int, rows: int, patience: float) -> None:
        self._rules, self._end, self._room = rules, end, room
        self._wanted = max(1, round(rows * patience))
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.parents = list(range(rows))
        # All rows are the same at first: only one of them may be continued.
        self._sums = [0.0] + [NEVER] * (rows - 1)
        self._finished: list[Written] = []

    def choose(self, scores: Any) -> bool:
        """Continue each row by its likeliest ids, and keep the likeliest of all."""
        count = len(self.tokens)
        grown = self._grown(scores)
        kept: list[tuple[float, int, int]] = []
        for total, row, token in grown:
            if token != self._end:
                kept.append((total, row, token))
                if len(kept) == count:
                    break
            elif len(self._finished) < self._wanted:
                self._finished.append((self.tokens[row], total))
        if not kept:
            self._sums = [NEVER] * count
            return False
        kept += [(NEVER, *kept[0][1:])] * (count - len(kept))
        self.parents = [row for _, row, _ in kept]
        self.tokens = [[*self.tokens[row], token] for _, row, token in kept]
        self._sums = [total for total, _, _ in kept]
        return len(self._finished) < self._wanted and len(self.tokens[0]) < self._room

    def _grown(self, scores: Any) -> list[tuple[float, int, int]]:
        """Continuations (sum, row, id), the likeliest first."""
        import numpy as np

        count, found = len(self.tokens) + 1, []
        for row, (said, before) in enumerate(zip(self.tokens, self._sums, strict=True)):
            if before == NEVER:
                continue
            chances = log_chances(self._rules, scores[row], said)
            least = max(0, len(chances) - count)
            for token in np.argpartition(chances, least)[least:].tolist():
                total = before + float(chances[token])
                if total > NEVER:
                    found.append((total, row, token))
        return sorted(found, key=lambda each: (-each[0], each[1], each[2]))

    def best(self, length_penalty: float | None) -> Written:
        """The best finished one; where fewer are finished than rows, others stand beside them."""
        missing = max(0, len(self.tokens) - len(self._finished))
        rows = zip(self.tokens, self._sums, strict=True)
        others = heapq.nlargest(missing, rows, key=lambda each: each[1])
        others = [each for each in others if each[1] > NEVER]
        return ranked([*self._finished, *others], length_penalty)


def ranked(written: Sequence[Written], length_penalty: float | None) -> Written:
    """The best by sums over lengths, or over `((5 + length) / 6) ** length_penalty`."""

    def score(each: Written) -> float:
        length = max(len(each[0]), 1)  # an empty text has a score, too
        if length_penalty is None:
            return each[1] / length
        return float(each[1] / ((5 + length) / 6) ** length_penalty)

    return max(written, key=score)


def log_chances(rules: Rules, scores: Any, said: Sequence[int]) -> Any:
    """The log-probabilities `(vocabulary,)` of the ids that may follow `said`; -inf of others.

    Raises:
        NonFiniteError: a logit is NaN or infinite.
        ModelError: no id may follow.
    """
    import numpy as np

    scores = scores.astype(np.float32)
    if not np.isfinite(scores).all():
        raise NonFiniteError("Transcriber: expected finite scores, got a NaN or an infinity")
    rules.apply(scores, said)
    top = scores.max()
    if top == -np.inf:
        raise ModelError("Transcriber: expected an id that may follow, got rules against all")
    scores -= top
    return scores - np.log(np.exp(scores).sum())
