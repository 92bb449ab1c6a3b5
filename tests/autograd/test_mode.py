"""Grad mode as a context and as a decorator of functions, generators, coroutines and classes."""

from __future__ import annotations

import asyncio

import pytest

import tallow as tl

on = tl.is_grad_enabled


def test_generators_hold_the_mode_and_give_it_back():
    @tl.no_grad()
    def numbers():
        seen = []
        try:
            while True:
                seen.append((yield on()))
                assert not on()
        except ValueError:
            yield "caught", on()
        finally:
            assert not on()
        return seen

    steps = numbers()
    assert next(steps) is False
    assert on()
    assert steps.send(7) is False
    assert on()
    assert steps.throw(ValueError) == ("caught", False)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == [7] and on()
    other = numbers()
    next(other)
    other.close()
    assert on()


def test_values_made_in_a_generator_have_no_gradient():
    x = tl.ones(2, requires_grad=True)

    @tl.no_grad()
    def batches():
        for i in range(2):
            yield x * i

    for y in batches():
        assert not y.requires_grad and (x * 2).requires_grad

    def outer():
        return (yield from batches())

    assert [y.requires_grad for y in outer()] == [False, False]


def test_coroutines():
    @tl.no_grad()
    async def inside():
        first = on()
        await asyncio.sleep(0)
        return first, on()

    async def outside():
        seen = [on()]
        await asyncio.sleep(0)
        return [*seen, on()]

    async def both():
        return await asyncio.gather(inside(), outside(), inside())

    assert asyncio.run(both()) == [(False, False), [True, True], (False, False)]


@pytest.mark.parametrize(
    ("decorate", "expected"),
    [
        (tl.no_grad, False),
        (tl.no_grad(), False),
        (tl.enable_grad, True),
        (tl.inference_mode, False),
        (tl.inference_mode(), False),
        (tl.inference_mode(False), True),
    ],
)
def test_with_and_without_parentheses(decorate, expected):
    @decorate
    def inside():
        """What it is for."""
        return on()

    assert inside() is expected and on() and inside.__doc__ == "What it is for."
    with tl.no_grad():
        assert inside() is expected
    assert on()


def test_set_grad_enabled():
    @tl.set_grad_enabled(False)
    def inside():
        return on()

    assert on() and not inside() and on()
    with tl.set_grad_enabled(False):
        assert not on()
    assert on()
    tl.set_grad_enabled(False)
    assert not on()
    tl.set_grad_enabled(True)


def test_methods_and_classes():
    @tl.no_grad()
    class Table:
        def __init__(self):
            self.made = on()

        @tl.no_grad()
        def look(self, again=True):
            return self.look(False) if again else on()

    assert Table().made is False and Table().look() is False and on()
    assert isinstance(Table(), Table)


def test_an_error_gives_the_mode_back():
    @tl.no_grad()
    def fails():
        raise ValueError("no")

    @tl.no_grad()
    def fails_later():
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert on()
    with pytest.raises(ValueError, match="no"):
        list(fails_later())
    assert on()
