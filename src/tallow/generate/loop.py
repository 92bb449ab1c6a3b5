"""The decoding loop: prompts in chunks through the model, then token by token, as events."""

from __future__ import annotations

import threading
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterator,
    Sequence,
)
from sys import maxsize
from time import perf_counter
from typing import TYPE_CHECKING

from tallow.errors import ArgumentError, expect
from tallow.generate.events import Event, FinishReason, Piece, Progress, Result
from tallow.generate.given import check_prompt, check_room, checked_embeds, token_ids
from tallow.generate.logprobs import TokenLogprob, token_logprob
from tallow.generate.prefill import CHUNK, Prefill, reuse
from tallow.generate.prompts import MixedPrompt
from tallow.generate.protocol import Generative
from tallow.generate.sampling import Sampler, SamplingParams, refuse_non_finite
from tallow.generate.shifting import kept, shift
from tallow.generate.speculation import (
    NUM_SPECULATIVE_TOKENS,
    Speculation,
    SpeculativeStep,
    proposer_of,
)
from tallow.generate.step import DecodeStep
from tallow.models.states import State
from tallow.tensor import Tensor
from tallow.text import StopStrings, StreamDecoder, Tokenizer

if TYPE_CHECKING:
    from tallow.generate.constraints import Constraint

ROOM = 256  # positions that memory is taken for beyond the prompt, at first

Cancel = Callable[[], bool] | threading.Event
Step = Callable[[Sequence[int]], Tensor]  # the last token of each row to logits of the next
RowEvent = tuple[int, Event]  # which prompt, and what happened to it


def generate(
    model: Generative,
    prompt: Sequence[int] | MixedPrompt = (),
    params: SamplingParams | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    state: State | None = None,
    cancel: Cancel | None = None,
    inputs_embeds: Tensor | None = None,
    speculation: Speculation | None = None,
    num_speculative_tokens: int = NUM_SPECULATIVE_TOKENS,
) -> Iterator[Event]:
    """Continue `prompt` (token ids): `Progress` events, then `Piece`s, and one `Result` at last.

    A `MixedPrompt` has something else, such as pictures, in the place of some of its ids.

    What `state` already holds of the prompt's beginning is not computed again; the rest of it is
    dropped. Closing the iterator ends the work and leaves the state usable; so does `cancel`, an
    event or a function that is asked before each step, which still gives a `Result`.
    `inputs_embeds` `(length, size)` stand in the place of a prompt.

    With `speculation`, each pass of the model also checks up to `num_speculative_tokens` guesses of
    what comes next: by "prompt_lookup" what followed the last tokens earlier in prompt or answer,
    or what a smaller model of the same vocabulary says. The answer is the same without, or where
    it is sampled and a model guesses, has the same probability.

    Raises (at the call, not at the first event):
        ArgumentError: an empty prompt, an id beyond the vocabulary, a `speculation` that is none.
        ContextError: the prompt fills the model's context.
        NonFiniteError (at an event): a logit is not finite.

    A model without a tokenizer gives ids and no text, so that no stop strings can be asked for.
    """
    embeds = None if inputs_embeds is None else checked_embeds(inputs_embeds, prompt)
    most = num_speculative_tokens
    vectors = embeds is not None or isinstance(prompt, MixedPrompt)
    proposer = proposer_of(model, speculation, most, embeds=vectors)
    row = _Row(model, prompt, params or SamplingParams(), tokenizer, embeds)
    if state is None:
        state = model.make_state(1, min(model.context, row.known + ROOM))
    expect(state.batch == 1, generate, "a state of batch 1", state.batch, ArgumentError)
    step: Step = DecodeStep(model, state)
    if proposer is not None:
        step = SpeculativeStep(model, state, row, proposer, most)
    return _alone(_run(model, [row], state, _as_function(cancel), step), step)


def generate_rows(
    model: Generative,
    prompts: Sequence[Sequence[int] | MixedPrompt],
    params: SamplingParams | Sequence[SamplingParams] | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    rows: int = 8,
    cancel: Cancel | None = None,
    make_state: Callable[[int, int], State] | None = None,
) -> Iterator[RowEvent]:
    """Continue several prompts, `rows` of them at once: pairs of a prompt's index and its event.

    Each prompt is answered as if it were alone, by its own entry of `params` where that is a list,
    and has one `Result`. `make_state(batch, capacity)` stands in the place of the model's.

    Raises (at the call): as `generate`, naming the prompt.
    """
    count = len(params) if isinstance(params, Sequence) else len(prompts)
    expect(count == len(prompts), "params", f"{len(prompts)} of them", count, ArgumentError)
    good = type(rows) is int and rows >= 1
    expect(good, generate_rows, "rows of at least 1", repr(rows), ArgumentError)
    each = list(params) if isinstance(params, Sequence) else [params] * len(prompts)
    made = [
        _Row(model, prompt, chosen or SamplingParams(), tokenizer, where=f"prompt {i}", at=i)
        for i, (prompt, chosen) in enumerate(zip(prompts, each, strict=True))
    ]
    return _run_groups(model, made, rows, _as_function(cancel), make_state or model.make_state)


def _run_groups(
    model: Generative,
    rows: list[_Row],
    size: int,
    cancelled: Callable[[], bool],
    make_state: Callable[[int, int], State],
) -> Iterator[RowEvent]:
    if any(row.keep is not None for row in rows):  # a shift is of all rows of a state
        size = 1
    for first in range(0, len(rows), size):
        group = rows[first : first + size]
        longest = max(row.known for row in group)
        state = make_state(len(group), min(model.context, longest + ROOM))
        yield from _run(model, group, state, cancelled, DecodeStep(model, state))


def _alone(events: Iterator[RowEvent], step: Step) -> Iterator[Event]:
    try:
        for _, event in events:
            yield event
    finally:
        if isinstance(step, SpeculativeStep):
            step.settle()


class _Text:
    """Token ids to text that is safe to show, up to a stop string; to none without a tokenizer."""

    def __init__(self, tokenizer: Tokenizer | None, stops: Sequence[str]) -> None:
        self._decoder = None if tokenizer is None else StreamDecoder(tokenizer)
        self._stops = StopStrings(stops)
        self._shown: list[str] = []
        self.stopped = False

    def push(self, token: int) -> str:
        if self._decoder is None:
            return ""
        return self._show(*self._stops.push(self._decoder.push(token)))

    def finish(self) -> str:
        if self.stopped or self._decoder is None:
            return ""
        text, hit = self._stops.push(self._decoder.finish())
        return self._show(text if hit else text + self._stops.finish(), hit)

    def _show(self, text: str, hit: bool) -> str:
        self.stopped = self.stopped or hit
        if text:
            self._shown.append(text)
        return text

    def all(self) -> str:
        return "".join(self._shown)


class _Row:
    """A prompt and its answer so far."""

    def __init__(
        self,
        model: Generative,
        prompt: Sequence[int] | MixedPrompt,
        params: SamplingParams,
        tokenizer: Tokenizer | None,
        embeds: Tensor | None = None,
        *,
        where: str = "prompt",
        at: int = 0,
    ) -> None:
        self.at, self.embeds = at, embeds
        mixed = isinstance(prompt, MixedPrompt)
        self.prompt = token_ids(prompt.ids if isinstance(prompt, MixedPrompt) else prompt, where)
        self.fed = prompt if mixed else self.prompt
        self.known = len(self.prompt) if embeds is None else embeds.shape[1]
        ids = self.prompt if embeds is None and not mixed else None
        if ids is not None:
            check_prompt(ids, model.vocab_size, where)
        check_room(self.known, model.context, where)
        if tokenizer is None and model.has_tokenizer:
            tokenizer = model.tokenizer
        if tokenizer is None and params.stop:
            raise ArgumentError("SamplingParams.stop: expected none for a model without tokenizer")
        ends: Collection[int] = model.end_ids if tokenizer is None else tokenizer.eos_ids
        self.ends = () if params.ignore_eos else ends
        self.sampler = Sampler(params, ends=ends)
        self.logprobs: list[TokenLogprob] = []
        self.constraint = _constraint(params, tokenizer, ends, model.vocab_size)
        self.text = _Text(tokenizer, params.stop)
        self.keep = kept(params, ids, model.context, tokenizer)
        self.limit = _limit(params, None if self.keep is not None else model.context - self.known)
        self.tokens = list(self.prompt)  # of embeddings, there are none
        self.first, self.reused = len(self.tokens), 0
        self.reason: FinishReason | None = None
        self.prefill_s = self.decode_s = 0.0
        self.guess: int | None = None
        self.guess_drawn_by: Tensor | None = None
        self.drafted = self.accepted = 0

    def choose(self, logits: Tensor) -> Piece | None:
        """Take the next token; None at the end token. `reason` is set at the end."""
        refuse_non_finite(logits)
        raw = logits
        if self.constraint is not None:
            logits = self.constraint.masked(logits)
        guess, drafted = self.guess, self.guess_drawn_by
        if guess is None or drafted is None:
            token = self.sampler.choose(logits, self.tokens)
        else:
            token = self.sampler.judge(logits, self.tokens, guess, drafted)
        if token in self.ends:
            self.reason = "stop"
            return None
        self.accepted += token == self.guess
        self.tokens.append(token)
        count = self.sampler.params.logprobs
        if count is not None:
            self.logprobs.append(token_logprob(raw, token, count))
        piece = Piece(self.text.push(token), token)
        done = self.constraint is not None and self.constraint.take(token)
        if self.text.stopped or done:
            self.reason = "stop"
        elif len(self.tokens) - self.first >= self.limit:
            self.reason = "length"
        return piece

    def finish(self) -> Iterator[RowEvent]:
        """What was held back of the text, and the result."""
        rest = self.text.finish()
        if rest:
            yield self.at, Piece(rest, None)
        assert self.reason is not None
        reason: FinishReason = self.reason
        if self.text.stopped and reason == "length":
            reason = "stop"
        chosen = tuple(self.tokens[self.first :])
        figures = (self.prefill_s, self.decode_s, self.drafted, self.accepted)
        yield self.at, Result(self.text.all(), chosen, self.known, self.reused, reason, *figures,
            tuple(self.logprobs),
        )  # fmt: skip


def _limit(params: SamplingParams, room: int | None) -> int:
    """How many tokens at most, where there is `room` for so many or for any number."""
    return min(maxsize if each is None else each for each in (params.max_tokens, room))


def _prefill(
    fed: Prefill, rows: list[_Row], cancelled: Callable[[], bool]
) -> Generator[RowEvent, None, bool]:
    """Feed the prompts, a chunk at a time; whether it was cancelled before their end."""
    while not fed.ended:
        if cancelled():
            return True
        begin = perf_counter()
        counts = fed.step(CHUNK)
        spent = perf_counter() - begin
        for row, count, done in zip(rows, counts, fed.done, strict=True):
            if count:
                row.prefill_s += spent
                yield row.at, Progress(done, row.known)
    return False


def _advance(model: Generative, step: Step, live: list[_Row], state: State) -> list[Tensor]:
    """Feed the last token of each row; the logits of the next."""
    keep = live[0].keep  # those who shift are alone
    if keep is not None and state.lengths[0] >= model.context:
        if isinstance(step, SpeculativeStep):
            step.forget()
        shift(model, state, keep)
    after = step([row.tokens[-1] for row in live])
    for row, held in zip(live, state.tokens, strict=True):
        if row.embeds is None:  # ids behind embeddings are not the beginning of anything
            held.append(row.tokens[-1])
    return list(after) if len(live) > 1 else [after.view(-1)]


def _run(
    model: Generative,
    rows: list[_Row],
    state: State,
    cancelled: Callable[[], bool],
    step: Step,
) -> Iterator[RowEvent]:
    if len(rows) == 1:
        first = rows[0].fed
        rows[0].reused = reuse(state, first.keys if isinstance(first, MixedPrompt) else first)
    prompts = [row.fed for row in rows]
    fed = Prefill(model, state, prompts, rows[0].embeds, [row.known for row in rows])
    stopped = yield from _prefill(fed, rows, cancelled)
    live = rows
    logits: Sequence[Tensor | None] = fed.logits
    while live:
        if stopped or cancelled():
            for row in live:
                row.reason = "cancelled"
                yield from row.finish()
            break
        begin = perf_counter()
        if logits[0] is None:
            logits = _advance(model, step, live, state)
        pieces = [
            row.choose(each) for row, each in zip(live, logits, strict=True) if each is not None
        ]
        spent = perf_counter() - begin
        for row, piece in zip(live, pieces, strict=True):
            row.decode_s += spent
            if piece is not None:
                yield row.at, piece
            if row.reason is not None:
                yield from row.finish()
        going = [i for i, row in enumerate(live) if row.reason is None]
        if len(going) < len(live):
            live = [live[i] for i in going]
            if live:
                state.select(going)
        logits = [None] * len(live)


def _constraint(
    params: SamplingParams, tokenizer: Tokenizer | None, ends: Collection[int], vocabulary: int
) -> Constraint | None:
    if params.json_schema is None and params.regex is None and params.grammar is None:
        return None
    from tallow.generate.constraints import constraint_of

    return constraint_of(params, tokenizer, ends, vocabulary)


def _as_function(cancel: Cancel | None) -> Callable[[], bool]:
    if cancel is None:
        return _never
    good = callable(cancel) or isinstance(cancel, threading.Event)
    expect(good, "cancel", "a function, an event or None", repr(cancel), ArgumentError)
    return cancel.is_set if isinstance(cancel, threading.Event) else cancel


def _never() -> bool:
    return False
