"""Speculation: guesses of the next tokens that the model checks in one pass over all of them.

A looked up or greedy guess is taken where the row's own sampler chooses the same token from the
model's logits, with the same history and random number as without guesses. So answers are those of
plain decoding, token for token: a row's logits do not depend on the rows beside it. (For a guess
that is certain, this is the rejection rule.) What a draft model has drawn at random is taken by the
rejection rule, so that answers have the same distribution.

What a wrong guess has done to recurrent layers cannot be overwritten: they go back to where they
stood before the pass, and the next one begins with the tokens that were right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from tallow.errors import ArgumentError, expect
from tallow.generate.prefill import Prefill, reuse
from tallow.generate.protocol import Generative
from tallow.generate.sampling import Sampler, refuse_non_finite
from tallow.generate.step import DecodeStep
from tallow.models.marks import Mark
from tallow.models.states import State
from tallow.tensor import Tensor
from tallow.text import Tokenizer

PROMPT_LOOKUP: Literal["prompt_lookup"] = "prompt_lookup"
NUM_SPECULATIVE_TOKENS = 15
NGRAMS = (4, 3, 2)  # lengths of what is looked up, in this order


class Answer(Protocol):
    """What the decoding loop knows of a row.

    `guess` is what its next token is thought to be; `guess_drawn_by` the probabilities that it was
    drawn with, if it was drawn.
    """

    tokens: list[int]
    first: int
    limit: int
    sampler: Sampler
    guess: int | None
    guess_drawn_by: Tensor | None
    drafted: int
    accepted: int


Guess = tuple[int, Tensor | None]  # a token, and the probabilities it was drawn with, if it was


class Proposer(Protocol):
    """Where guesses come from."""

    def propose(self, tokens: Sequence[int], count: int, sampler: Sampler) -> list[Guess]:
        """At most `count` tokens that may come next; `tokens` only grows from call to call."""


class PromptLookup:
    """What came after the last occurrence of the last tokens, in the prompt or the answer."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # n-gram: where its last occurrence ends
        self._seen = 0

    def propose(self, tokens: Sequence[int], count: int, sampler: Sampler) -> list[Guess]:
        """The tokens there; where they run out, what has been guessed is repeated."""
        self._note(tokens)
        for size in NGRAMS:
            at = self._after.get(tuple(tokens[-size:]))
            if at is not None:
                found = list(tokens[at : at + count])
                period = len(found)
                return [(found[i % period], None) for i in range(count)]
        return []

    def _note(self, tokens: Sequence[int]) -> None:
        """Learn the n-grams that end before the last token; what follows the last is not known."""
        for end in range(max(self._seen, 1), len(tokens)):
            for size in NGRAMS:
                if end >= size:
                    self._after[tuple(tokens[end - size : end])] = end
        self._seen = len(tokens)


class DraftModel:
    """What a smaller model says, drawn as the row's sampler draws.

    One may serve several answers, one after the other: its cache is kept as far as they are alike.
    """

    def __init__(self, model: Generative) -> None:
        self.model = model
        self._state = model.make_state(1)
        self._step = DecodeStep(model, self._state)
        self._mark = Mark(self._state) if self._state.recurrent() else None

    def propose(self, tokens: Sequence[int], count: int, sampler: Sampler) -> list[Guess]:
        """None beyond the draft's own context."""
        if len(tokens) + count > self.model.context:
            return []
        ahead, known, guesses = sampler.fork(), list(tokens), []
        logits = self._read(known)
        if self._mark is not None:
            self._mark.take()
        while True:
            refuse_non_finite(logits)
            try:
                guesses.append(ahead.draw(logits, known))
            except ArgumentError:  # a history that may never be: every token is ruled out after it
                break
            if len(guesses) == count:
                break
            known.append(guesses[-1][0])
            logits = self._feed(known[-1])
        if self._mark is not None:
            self._mark.rewind()
        return guesses

    def _read(self, tokens: list[int]) -> Tensor:
        """Let the state hold just `tokens`; the logits of the next."""
        held = reuse(self._state, tokens)
        if len(tokens) - held > 4:
            fed = Prefill(self.model, self._state, [tokens[:-1]])
            while not fed.ended:
                fed.step()
            held = len(tokens) - 1
        for token in tokens[held:-1]:
            self._feed(token)
        return self._feed(tokens[-1])

    def _feed(self, token: int) -> Tensor:
        logits = self._step([token])
        self._state.tokens[0].append(token)
        return logits.view(-1)


Speculation = Literal["prompt_lookup"] | Generative | DraftModel


class SpeculativeStep:
    """`step([token])` as `DecodeStep`, for one row, whose logits may have been computed before.

    A pass takes the last token and the guesses. The state is committed a position at a time, as
    the guesses turn out to be right; what was written beyond is overwritten by the next pass.
    The number of guesses grows while all are right, and falls while most are wrong.
    """

    def __init__(
        self, model: Generative, state: State, answer: Answer, proposer: Proposer, most: int
    ) -> None:
        self._model, self._state, self._answer, self._proposer = model, state, answer, proposer
        windows = [span.window for span in state.spans.values() if span.window]
        most = min([most, *(window - 1 for window in windows)])  # a longer pass moves a ring
        # Each number of guesses has a plan of its own, so that there are only a few.
        self._counts = [n for n in (2**i - 1 for i in range(most.bit_length() + 1)) if n < most]
        self._counts.append(most)
        self._level = min(2, len(self._counts) - 1)
        self._passes: dict[int, DecodeStep] = {}
        self._version = state.version
        self._guesses: list[Guess] = []
        self._at = 0
        self._logits: Tensor | None = None
        self._mark = Mark(state) if state.recurrent() else None
        self._ids: list[int] = []  # of the last pass: what was fed again, the token, the guesses
        self._whole = False  # whether it was ended

    def __call__(self, tokens: Sequence[int]) -> Tensor:
        """Logits `(1, vocab_size)` of the next token."""
        at = self._at
        if at < len(self._guesses) and self._guesses[at][0] == tokens[0]:
            self._at += 1
        else:
            self._adapt()
            self._pass(tokens[0])
        self._state.commit(1)
        left, answer = self._guesses[self._at : self._at + 1], self._answer
        answer.guess, answer.guess_drawn_by = left[0] if left else (None, None)
        assert self._logits is not None
        return self._logits.narrow(0, self._at, 1)

    def _adapt(self) -> None:
        """Another number of guesses, by how many of the last ones were right."""
        if self._guesses and self._at == len(self._guesses):
            self._level = min(self._level + 1, len(self._counts) - 1)
        elif 2 * self._at < len(self._guesses):
            self._level = max(self._level - 1, min(1, len(self._counts) - 1))

    def _pass(self, token: int) -> None:
        answer, state = self._answer, self._state
        room = answer.limit - (len(answer.tokens) - answer.first) - 1
        room = min(room, self._model.context - state.lengths[0] - 1)
        count = max(n for n in self._counts[: self._level + 1] if n <= room)
        again = self._taken_back()
        if again:  # fewer guesses or some more, so that there is a plan of that width
            wanted = min(len(again) + count, self._counts[-1])
            count = min(next(n for n in self._counts if n >= wanted) - len(again), room)
        found = self._proposer.propose(answer.tokens, count, answer.sampler) if count else []
        self._guesses, self._at, self._whole = found, 0, False
        answer.drafted += len(found)
        logits = self._fed([*again, token, *(guess for guess, _ in found)])
        if again:
            state.commit(len(again))
        self._logits, self._whole = logits.narrow(0, len(again), len(found) + 1), True

    def _fed(self, ids: list[int]) -> Tensor:
        """Logits `(width, vocab_size)` behind each of these ids, none of which is committed."""
        width = len(ids)
        step = self._passes.pop(width, None) or DecodeStep(self._model, self._state, width)
        self._ids = ids
        logits = step.run(ids).view(width, -1)
        if self._state.version != self._version:  # plans of other widths keep the old memory
            self._passes.clear()
            self._version = self._state.version
        self._passes[width] = step
        return logits

    def _taken_back(self) -> list[int]:
        """The tokens behind the mark, to be fed again, where recurrent layers know wrong ones."""
        if self._mark is None:
            return []
        wrong = len(self._guesses) - self._at
        if not self._ids or not wrong:
            self._mark.take()
            return []
        right, known = self._ids[:-wrong], list(self._state.tokens[0])
        self._mark.rewind()
        self._state.tokens[0].extend(known[len(self._state.tokens[0]) :])
        return right

    def forget(self) -> None:
        """Begin anew: what the state holds is about to be other tokens."""
        self._guesses, self._at, self._ids = [], 0, []

    def settle(self) -> None:
        """Let recurrent layers forget guesses that nobody has asked about."""
        if self._mark is None or not self._ids:
            return
        if not self._whole:  # a pass was broken off: what it began with is still known
            self._mark.rewind()
            return
        again = self._taken_back()
        self._guesses, self._at = [], 0
        if again:
            self._fed(again)
            self._state.commit(len(again))


def proposer_of(
    model: Generative, speculation: Speculation | None, most: int, *, embeds: bool = False
) -> Proposer | None:
    """What makes the guesses for one answer.

    Raises:
        ArgumentError: something that makes no guesses for this model.
    """
    expect(
        type(most) is int and most >= 1, "num_speculative_tokens",
        "an integer of at least 1", repr(most), ArgumentError,
    )  # fmt: skip
    if speculation is None:
        return None
    if isinstance(speculation, str):
        known = speculation == PROMPT_LOOKUP
        wanted = f"{PROMPT_LOOKUP!r} or a model"
        expect(known, "speculation", wanted, repr(speculation), ArgumentError)
        return PromptLookup()
    draft = speculation.model if isinstance(speculation, DraftModel) else speculation
    check_draft(model, draft)
    wanted = f"{PROMPT_LOOKUP!r} for pictures and inputs_embeds"
    expect(not embeds, "speculation", wanted, "a model", ArgumentError)
    return speculation if isinstance(speculation, DraftModel) else DraftModel(speculation)


def check_draft(model: Generative, draft: object) -> None:
    """Raise ArgumentError unless `draft` is a model that can guess tokens of `model`."""
    found = type(draft).__name__
    good = all(hasattr(draft, name) for name in ("make_state", "decode", "head", "vocab_size"))
    expect(
        good,
        "speculation",
        f"{PROMPT_LOOKUP!r} or a model that continues texts",
        found,
        ArgumentError,
    )
    size = draft.vocab_size  # type: ignore[attr-defined]
    wanted = f"a draft model of the same vocabulary ({model.vocab_size} tokens)"
    expect(size == model.vocab_size, "speculation", wanted, f"{found} of {size}", ArgumentError)


def check_tokens(tokenizer: Tokenizer, draft: Tokenizer) -> None:
    """Raise ArgumentError unless ids stand for the same tokens in both."""
    sizes = (tokenizer.vocab_size, draft.vocab_size)
    wanted = f"a draft model of the same vocabulary ({sizes[0]} tokens)"
    expect(sizes[0] == sizes[1], "speculation", wanted, f"one of {sizes[1]}", ArgumentError)
    for index in range(sizes[0]):
        ours, its = tokenizer.id_to_token(index), draft.id_to_token(index)
        wanted = f"a draft model of the same vocabulary ({index} is {ours!r})"
        expect(ours == its, "speculation", wanted, f"one where it is {its!r}", ArgumentError)
