"""Answers with speculation and without, and models whose answers are written down."""

from __future__ import annotations

import tallow as tl
from tallow.generate import Piece, Result, SamplingParams, generate
from tallow.generate.speculation import DraftModel
from tallow.models.states import KeyValue, State

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
        for i, (token, _) in enumerate(guesses):
            if (len(tokens) + i) % 5 == 0:
                guesses[i] = (token + 1) % self.model.vocab_size, None
        return guesses
