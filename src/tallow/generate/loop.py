"""The decoding loop: a prompt in chunks through the model, then token by token, as events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from operator import index
from time import perf_counter

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.errors import ArgumentError, ContextError, DTypeError, expect
from tallow.factories import tensor
from tallow.generate.cache import KVCache
from tallow.generate.events import Event, FinishReason, Piece, Progress, Result
from tallow.generate.sampling import Sampler, SamplingParams, refuse_non_finite
from tallow.generate.step import DecodeStep
from tallow.models import CausalLM
from tallow.tensor import Tensor
from tallow.text import StopStrings, StreamDecoder, Tokenizer

CHUNK = 512  # prompt tokens a pass: large enough for the matrix kernels, small enough to cancel

Cancel = Callable[[], bool] | threading.Event


def generate(
    model: CausalLM,
    prompt: Sequence[int],
    params: SamplingParams | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    cache: KVCache | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Event]:
    """Continue `prompt` (token ids): `Progress` events, then `Piece`s, and one `Result` at last.

    What `cache` already holds of the prompt's beginning is not computed again; the rest of it is
    dropped. Closing the iterator ends the work and leaves the cache usable; so does `cancel`, an
    event or a function that is asked before each step, which still gives a `Result`.

    Raises (at the call, not at the first event):
        ArgumentError: an empty prompt, or an id beyond the vocabulary.
        ContextError: the prompt fills the model's context.
        NonFiniteError (at an event): a logit is not finite.

    A model without a tokenizer gives ids and no text, so that no stop strings can be asked for.
    """
    ids, context = token_ids(prompt, "prompt"), model.config.context
    _check_prompt(ids, model.config.vocab_size)
    if len(ids) >= context:
        wanted = f"fewer than {context} tokens (the model's context, which context= overrides)"
        raise ContextError(f"prompt: expected {wanted}, got {len(ids)}")
    if cache is None:
        cache = KVCache(model.config, capacity=min(context, len(ids) + 256))
    expect(cache.batch == 1, generate, "a cache of batch 1", cache.batch, ArgumentError)
    params = params or SamplingParams()
    if tokenizer is None and model.has_tokenizer:
        tokenizer = model.tokenizer
    if tokenizer is None and params.stop:
        raise ArgumentError("SamplingParams.stop: expected none for a model without a tokenizer")
    return _run(model, ids, params, tokenizer, cache, _as_function(cancel))


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


def _run(
    model: CausalLM,
    prompt: list[int],
    params: SamplingParams,
    tokenizer: Tokenizer | None,
    cache: KVCache,
    cancelled: Callable[[], bool],
) -> Iterator[Event]:
    text = _Text(tokenizer, params.stop)
    sampler = Sampler(params)
    ends: Collection[int] = model.end_ids if tokenizer is None else tokenizer.eos_ids
    if params.ignore_eos:
        ends = ()
    room = model.config.context - len(prompt)
    limit = room if params.max_tokens is None else min(params.max_tokens, room)
    tokens, known = list(prompt), len(prompt)
    reused = done = _reuse(cache, prompt)
    reason: FinishReason | None = None
    prefill_s = decode_s = 0.0
    logits: Tensor | None = None
    step = DecodeStep(model, cache)

    while done < known:
        if cancelled():
            reason = "cancelled"
            break
        begin = perf_counter()
        chunk = prompt[done : done + CHUNK]
        done += len(chunk)
        logits = _feed(model, chunk, cache, wanted=done == known)
        prefill_s += perf_counter() - begin
        yield Progress(done, known)

    while reason is None:
        if cancelled():
            reason = "cancelled"
            break
        begin = perf_counter()
        if logits is None:
            logits = step(tokens[-1])
            cache.tokens.append(tokens[-1])
        refuse_non_finite(logits)
        token = sampler.choose(logits, tokens)
        logits = None
        if token in ends:
            reason = "stop"
        else:
            tokens.append(token)
            piece = text.push(token)
            if text.stopped:
                reason = "stop"
            elif len(tokens) - known >= limit:
                reason = "length"
        decode_s += perf_counter() - begin
        if token not in ends:
            yield Piece(piece, token)

    rest = text.finish()
    if rest:
        yield Piece(rest, None)
    if text.stopped and reason == "length":
        reason = "stop"
    yield Result(text.all(), tuple(tokens[known:]), known, reused, reason, prefill_s, decode_s)


@inference_mode()
def _feed(model: CausalLM, ids: list[int], cache: KVCache, *, wanted: bool = True) -> Tensor | None:
    """Take `ids` into the cache; the logits `(vocab_size,)` of the last one, if wanted."""
    batch = tensor([ids], dtype=i64)
    logits: Tensor | None = None
    if wanted:
        logits = model(batch, cache, last_only=True).view(model.config.vocab_size)
    else:
        model.prefill(batch, cache)
    cache.tokens.extend(ids)
    return logits


def _reuse(cache: KVCache, prompt: list[int]) -> int:
    """Cut the cache to what it shares with the prompt, but for the last token; its new length."""
    shared = 0
    # Ids are noted after a pass, so that they are a true beginning even when a pass was broken off.
    for held, wanted in zip(cache.tokens, prompt[:-1], strict=False):
        if held != wanted:
            break
        shared += 1
    cache.cut(shared)
    return shared


def token_ids(ids: Iterable[int], where: str) -> list[int]:
    """`ids` as integers.

    Raises:
        DTypeError: they are something else.
    """
    if isinstance(ids, (str, bytes, Mapping, Set)) or not isinstance(ids, Iterable):
        raise DTypeError(f"{where}: expected token ids, got {type(ids).__name__}")
    found = []
    for token in ids:
        try:
            found.append(index(token))
        except TypeError:
            raise DTypeError(f"{where}: expected token ids, got {token!r}"[:200]) from None
    return found


def _check_prompt(ids: list[int], vocabulary: int) -> None:
    expect(bool(ids), "prompt", "at least one token", "none", ArgumentError)
    outside = next((token for token in ids if not 0 <= token < vocabulary), 0)
    expect(outside == 0, "prompt", f"ids from 0 to {vocabulary - 1}", outside, ArgumentError)


def _as_function(cancel: Cancel | None) -> Callable[[], bool]:
    if cancel is None:
        return _never
    good = callable(cancel) or isinstance(cancel, threading.Event)
    expect(good, "cancel", "a function, an event or None", repr(cancel), ArgumentError)
    return cancel.is_set if isinstance(cancel, threading.Event) else cancel


def _never() -> bool:
    return False
