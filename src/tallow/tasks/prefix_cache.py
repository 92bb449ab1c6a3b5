"""PrefixCache: keys and values of earlier prompts, for prompts that begin with the same tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from tallow.errors import ArgumentError, expect
from tallow.generate import SamplingParams
from tallow.generate.loop import ROOM
from tallow.lazy_dataclasses import dataclass
from tallow.models.states import State

_LEAST = 32  # positions that a new state has room for


@dataclass(frozen=True, slots=True)
class PrefixCacheInfo:
    """What a prefix cache has done.

    Of the prompts, `hits` began as one before, `misses` did not; `cached_tokens` were not computed
    again. `states` are held now, of `nbytes`; `evictions` had to go.
    """

    hits: int
    misses: int
    cached_tokens: int
    evictions: int
    states: int
    nbytes: int


class PrefixCache:
    """States of batch 1 that nobody uses, the last one used at the end, up to `limit` bytes.

    The last one is kept whatever its size. A prompt that goes on from all that a state holds takes
    that state; one that leaves it earlier takes a copy of what both begin with, so that the other
    conversation can go on, too. With a `limit` of 0 there is one state, which every prompt takes.

    Raises:
        ArgumentError: a limit that is no number of bytes.
    """

    def __init__(self, limit: int = 0) -> None:
        good = type(limit) is int and limit >= 0
        expect(good, "prefix_cache", "a number of bytes", repr(limit), ArgumentError)
        self._limit = limit
        self._idle: list[State] = []
        # An abandoned answer may end, and give its state back, while this thread holds it.
        self._lock = threading.RLock()
        self._closed = False
        self._hits = self._misses = self._cached_tokens = self._evictions = 0

    def borrow(
        self, prompt: Sequence[int], make_state: Callable[[], State], key: object = None
    ) -> State:
        """A state that holds a beginning of the prompt, and may hold more; `give_back` it.

        Only what was computed under the same `key` counts: one that says of adapters, for example.
        """
        found = self._borrow(prompt, make_state, key)
        if found.key != key:
            found.trim(0)
            found.key = key
        return found

    def _borrow(self, prompt: Sequence[int], make_state: Callable[[], State], key: object) -> State:
        with self._lock:
            idle = list(self._idle)
            shared = [_shared(state, prompt) * (state.key == key) for state in idle]
            most = max(shared, default=0)
            if not most:
                found = idle[-1] if idle and not self._limit else None
            else:  # the one that has least beyond it
                best = [state for state, count in zip(idle, shared, strict=True) if count == most]
                found = min(best, key=lambda state: state.length)
            if found is not None:
                with suppress(ValueError):  # one that came back meanwhile took its place
                    self._idle.remove(found)
        if found is None or not most or not self._limit or found.length <= most:
            return found or make_state()
        try:
            return found.fork(most)
        finally:
            self.give_back(found)

    def give_back(self, state: State) -> None:
        """Keep a state, and let go of those that were used longest ago if there are too many."""
        with self._lock:
            if self._closed:
                return
            self._idle.append(state)
            while len(self._idle) > 1 and self._nbytes() > self._limit:
                self._idle.pop(0)
                self._evictions += self._limit > 0

    def _nbytes(self) -> int:
        return sum(state.nbytes for state in list(self._idle))

    def note(self, cached_tokens: int) -> None:
        """Count a prompt, so many of whose tokens were there."""
        with self._lock:
            self._hits += cached_tokens > 0
            self._misses += cached_tokens == 0
            self._cached_tokens += cached_tokens

    def info(self) -> PrefixCacheInfo:
        """The numbers up to now."""
        with self._lock:
            held = len(self._idle), self._nbytes()
            counts = self._hits, self._misses, self._cached_tokens, self._evictions
            return PrefixCacheInfo(*counts, *held)

    def close(self) -> None:
        """Let go of all states, and of those that are given back later."""
        with self._lock:
            self._idle, self._closed = [], True


def room_for(prompt: Sequence[int], params: SamplingParams) -> int:
    """For how many positions a new state takes memory, so that most answers need no more.

    Not more either: memory that is taken for the first time costs a start more than its modules.
    """
    answer = ROOM if params.max_tokens is None else min(params.max_tokens, ROOM)
    return max(len(prompt) + answer, _LEAST)


def _shared(state: State, prompt: Sequence[int]) -> int:
    """How many tokens a state and a prompt, but for its last, begin with alike."""
    held = state.tokens[0]
    most = max(min(len(held), len(prompt) - 1), 0)
    if held[:most] == list(prompt[:most]):
        return most
    return next(i for i in range(most) if held[i] != prompt[i])
