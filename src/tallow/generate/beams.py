"""The hypotheses of one row in a beam search, and when it may end, by transformers' rules."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.generate.config import GenerationConfig

NEVER = -1e9  # the score of what is not to be chosen, as there

Finished = tuple[float, list[int], bool]  # score, new tokens, whether it is one


class Beams:
    """`tokens` and `scores` of the running hypotheses, best first, and the `finished` ones.

    `open` tells whether the search goes on. Finished ones are compared by their summed
    log-probability over their length to the power of `length_penalty`; the end token counts.
    """

    def __init__(self, config: GenerationConfig, limit: int) -> None:
        count = config.num_beams
        self.tokens: list[list[int]] = [[] for _ in range(count)]
        # The beams are the same at first: only one of them may be continued.
        self.scores = [0.0] + [NEVER] * (count - 1)
        self.finished: list[Finished] = [(NEVER, [], False)] * count
        self.open = True
        self._ends, self._limit = frozenset(config.ends), limit
        self._penalty, self._early = config.length_penalty, config.early_stopping
        self._hopeful = True

    def advance(self, found: Sequence[tuple[float, int, int]]) -> list[int]:
        """Take the best continuations (score, beam, token), best first; the beams that go on."""
        count, length = len(self.tokens), len(self.tokens[0]) + 1
        grown = [
            (score, [*self.tokens[beam], token], token in self._ends or length >= self._limit)
            for score, beam, token in found
        ]
        self._finish(grown[:count], length)
        after = [score + NEVER * hit for score, _, hit in grown]
        running = sorted(range(len(grown)), key=lambda i: -after[i])[:count]
        self.tokens = [grown[i][1] for i in running]
        self.scores = [after[i] for i in running]
        self._hopeful = self._hopeful and self._may_improve(length)
        full = self._early is True and all(done for _, _, done in self.finished)
        over = all(hit for _, _, hit in grown)
        self.open = self._hopeful and not full and not over
        return [found[i][1] for i in running]

    def _finish(self, grown: Sequence[Finished], length: int) -> None:
        """Let those of the best that have ended stand among the finished ones."""
        ended = [
            (score / length**self._penalty, tokens, True) for score, tokens, hit in grown if hit
        ]
        merged = sorted([*self.finished, *ended], key=lambda each: -each[0])
        self.finished = merged[: len(self.finished)]

    def _may_improve(self, length: int) -> bool:
        """Whether a running hypothesis may still become better than the worst finished one."""
        if self._early == "never" and self._penalty > 0:
            length = self._limit
        best = self.scores[0] / length**self._penalty
        worst = min(score for score, _, _ in self.finished)
        return any(best > (worst if done else NEVER) for _, _, done in self.finished)
