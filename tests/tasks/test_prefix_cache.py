"""Conversations that share a beginning: computed once, in bounded memory, with the same answers."""

from __future__ import annotations

import threading
from dataclasses import astuple

import numpy as np
import pytest

import tallow as tl
from models.conftest import ROOT, Golden
from tallow.errors import ArgumentError, ModelError
from tallow.models.states import KeyValue, Recurrent, State
from tallow.tasks.prefix_cache import PrefixCache

FILE = ROOT / "llama" / "llama.q8_0.gguf"
SYSTEM = [5, 9, 20, 31, 47, 3, 60, 14, 40, 11, 33, 8]
MANY = 1 << 30


def opened(**options):
    return tl.LLM(FILE, activations="float", **options)


def ask(llm, ids, count=4, **options):
    return llm.generate(ids, max_tokens=count, ignore_eos=True, **options)


@pytest.mark.parametrize("cache_dtype", ["f32", "f16"])
def test_conversations_in_turns_share_their_beginning(cache_dtype):
    with opened(prefix_cache=MANY, cache_dtype=cache_dtype) as llm:
        turns = {name: [*SYSTEM, first] for name, first in (("a", 2), ("b", 50), ("c", 17))}
        for round_ in range(3):
            for i, (name, ids) in enumerate(turns.items()):
                found = ask(llm, ids)
                with opened(cache_dtype=cache_dtype) as fresh:
                    assert found.tokens == ask(fresh, ids).tokens
                expected = 0 if round_ == i == 0 else len(SYSTEM) if round_ == 0 else len(ids) - 2
                assert found.cached_tokens == expected
                turns[name] = [*ids, *found.tokens, 7 + i]
        info = llm.prefix_cache_info()
    assert (info.hits, info.misses, info.evictions, info.states) == (8, 1, 0, 3)


def test_states_are_bit_equal_to_fresh_ones():
    with opened(prefix_cache=MANY) as llm:
        model = llm.model
        ask(llm, [*SYSTEM, 2, 4, 6])
        make = lambda: model.make_state(dtype=llm.cache_dtype)  # noqa: E731
        state = llm._cache.borrow([*SYSTEM, 50, 51], make)
        assert (state.lengths, state.tokens) == ([12], [SYSTEM])
        fresh = make()
        model(tl.tensor([SYSTEM]), state=fresh)
        for token in range(9):
            ids = tl.tensor([[50 + token]])
            got, wanted = (model(ids, state=each).logits.numpy() for each in (state, fresh))
            np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


def test_one_state_unless_asked_for_more():
    with opened() as llm:
        ask(llm, [*SYSTEM, 2])
        assert ask(llm, [*SYSTEM, 3]).cached_tokens == len(SYSTEM)
        assert ask(llm, [40, 41]).cached_tokens == 0
        assert ask(llm, [*SYSTEM, 3]).cached_tokens == 0
        assert astuple(llm.prefix_cache_info())[:5] == (1, 3, len(SYSTEM), 0, 1)


def test_what_was_used_longest_ago_goes():
    with opened() as llm:
        ask(llm, SYSTEM)
        size = llm.prefix_cache_info().nbytes
    with opened(prefix_cache=2 * size) as llm:
        for first in (1, 2, 3):
            ask(llm, [first, *SYSTEM])
        info = llm.prefix_cache_info()
        assert (info.states, info.evictions, info.nbytes) == (2, 1, 2 * size)
        assert ask(llm, [2, *SYSTEM, 9]).cached_tokens > 0  # now 3 is the oldest
        ask(llm, [4, *SYSTEM])
        assert ask(llm, [2, *SYSTEM, 9, 9]).cached_tokens > 0
        assert ask(llm, [3, *SYSTEM]).cached_tokens == 0


def test_less_than_one_state_keeps_the_last():
    with opened(prefix_cache=1) as llm:
        ask(llm, [*SYSTEM, 2])
        assert llm.prefix_cache_info().states == 1
        assert ask(llm, [*SYSTEM, 3]).cached_tokens == len(SYSTEM)


def test_a_window_gives_what_it_has_kept():
    """A ring of 6 has the beginning only while less than its memory was written."""
    model = Golden("mistral").load("hf")
    cache = PrefixCache(MANY)
    for count, expected in ((9, 8), (40, 0)):
        state = model.make_state(capacity=1)
        ids = [(7 * i) % 60 for i in range(count)]
        for token in ids:
            model(tl.tensor([[token]]), state=state)
        state.tokens = [ids]
        cache.give_back(state)
        found = cache.borrow([*ids[:8], 61, 62], model.make_state)
        assert found.length == expected
        fresh = model.make_state()
        rest = [*ids[:8], 61][found.length :]
        got = model(tl.tensor([rest]), state=found).logits.numpy()[:, -1]
        wanted = model(tl.tensor([[*ids[:8], 61]]), state=fresh).logits.numpy()[:, -1]
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
        cache = PrefixCache(MANY)


def test_recurrent_layers_cannot_be_cut():
    """A state with one goes on, and is no beginning of anything else."""
    state = State([KeyValue(1, 4), Recurrent()], context=32)
    with tl.inference_mode():
        state.reserve(4)
        state.layers[1].put("hidden", tl.ones(1, 3))
        state.commit(4)
    state.tokens = [[1, 2, 3, 4]]
    cache, make = PrefixCache(MANY), lambda: State([KeyValue(1, 4)], context=32)
    cache.give_back(state)
    assert cache.borrow([1, 2, 9], make).length == 0
    assert cache.borrow([1, 2, 3, 4, 5], make) is state


def test_threads_and_broken_off_answers():
    with opened(prefix_cache=MANY) as llm:
        wanted = {first: ask(llm, [*SYSTEM, first], 12).tokens for first in range(6)}
        found, failed = {}, []

        def work(first):
            try:
                for _ in range(4):
                    found[first] = ask(llm, [*SYSTEM, first], 12).tokens
                    next(llm.stream([*SYSTEM, first, 9], max_tokens=5))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed and found == wanted


def test_bad_sizes_and_closed_models():
    for size in (-1, 1.5, "1GB", True):
        with pytest.raises(ArgumentError, match="prefix_cache: expected a number of bytes"):
            opened(prefix_cache=size)
    llm = opened(prefix_cache=MANY)
    ask(llm, SYSTEM)
    llm.close()
    assert llm.prefix_cache_info().states == 0
    with pytest.raises(ModelError, match="closed"):
        ask(llm, SYSTEM)
    for bad in ([], "", [1.5]):
        with opened() as llm, pytest.raises(tl.errors.TallowError):
            ask(llm, bad)


def test_memory_for_a_long_prompt_is_taken_once():
    """Growing would leave the memory of before behind, and the end of the new one unused."""
    with opened() as llm:
        ask(llm, [3] * 20)  # and 4 tokens: the least that a state has room for is more
        assert llm._cache.borrow([3], llm.model.make_state).capacity == 32
    with opened() as llm:
        ask(llm, [3] * 30, 10)
        assert llm._cache.borrow([3], llm.model.make_state).capacity == 40
    with opened(context=4096) as llm:
        ask(llm, [3] * 520, 30)
        assert llm._cache.borrow([3], llm.model.make_state).capacity == 550


@pytest.mark.parametrize("limit", [0, MANY])
def test_an_abandoned_answer_may_end_while_the_cache_is_asked(limit):
    """Its generator may be garbage that is found in the middle of any line."""

    class Interrupted(State):
        """Looking at its tokens lets another state come back."""

        back = None

        @property
        def tokens(self):
            if self.back is not None:
                state, self.back = self.back, None
                cache.give_back(state)
            return self.kept

        @tokens.setter
        def tokens(self, value):
            self.kept = value

    def made(ids, kind=State):
        state = kind([KeyValue(1, 4)], context=32)
        with tl.inference_mode():
            state.reserve(len(ids))
            state.commit(len(ids))
        state.tokens = [ids]
        return state

    cache, found = PrefixCache(limit), []
    held, other = made([1, 2, 3], Interrupted), made([7, 8])
    cache.give_back(held)
    held.back = other
    asking = threading.Thread(
        target=lambda: found.append(cache.borrow([1, 2, 3, 4], State)), daemon=True
    )
    asking.start()
    asking.join(20)
    assert found == [held]
    assert cache.borrow([7, 8, 9], State) is other
