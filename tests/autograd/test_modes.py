"""Grad modes: no_grad, inference_mode, enable_grad, set_grad_enabled; threads, decorators."""

import threading

import pytest

import tallow as tl


def test_nothing_is_recorded():
    x = tl.ones(2).requires_grad_()
    assert tl.is_grad_enabled()
    with tl.no_grad():
        assert not tl.is_grad_enabled()
        y = x * 2
        assert not y.requires_grad and x.requires_grad
    assert tl.is_grad_enabled() and (x * 2).requires_grad


def test_modes_nest():
    with tl.no_grad():
        with tl.enable_grad():
            assert tl.is_grad_enabled()
            with tl.inference_mode():
                assert not tl.is_grad_enabled()
            assert tl.is_grad_enabled()
        assert not tl.is_grad_enabled()


def test_the_mode_comes_back_after_an_error():
    with pytest.raises(KeyError), tl.no_grad():
        raise KeyError
    assert tl.is_grad_enabled()


def test_as_decorators():
    x = tl.ones(2).requires_grad_()

    @tl.no_grad()
    def plain(n):
        assert not tl.is_grad_enabled()
        return plain(n - 1) if n else x * 2

    @tl.enable_grad()
    def recorded():
        return x * 2

    assert not plain(3).requires_grad and tl.is_grad_enabled()
    with tl.no_grad():
        assert recorded().requires_grad


def test_inference_mode():
    x = tl.ones(3).requires_grad_()
    with tl.inference_mode():
        y = x * 2
        y[0].add_(1)
        assert y.tolist() == [3.0, 2.0, 2.0] and not y.requires_grad
    with tl.inference_mode(False):
        assert (x * 2).requires_grad


def test_set_grad_enabled():
    x = tl.ones(2).requires_grad_()
    with tl.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert tl.is_grad_enabled()
    tl.set_grad_enabled(False)
    try:
        assert not tl.is_grad_enabled()
    finally:
        tl.set_grad_enabled(True)
    assert tl.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = []
    with tl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tl.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_graphs_of_two_threads():
    shared = tl.ones(50, 50).requires_grad_()
    found = {}

    def work(i):
        for _ in range(20):
            (g,) = tl.autograd.grad((shared * i).sum(), shared)
        found[i] = g

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[i].eq(i).all().item() for i in range(1, 5))


@pytest.mark.parametrize("mode", [tl.no_grad, tl.inference_mode])
def test_an_asynchronous_generator_holds_the_mode_in_its_steps_alone(mode):
    import asyncio

    closed = []

    @mode()
    async def numbers():
        try:
            seen = None
            while True:
                await asyncio.sleep(0)
                try:
                    seen = yield tl.is_grad_enabled(), seen
                except KeyError:
                    seen = "caught"
        finally:
            closed.append(tl.is_grad_enabled())

    async def run():
        stream = numbers()
        assert await stream.__anext__() == (False, None)
        assert tl.is_grad_enabled()
        assert await stream.asend(5) == (False, 5)
        assert await stream.athrow(KeyError()) == (False, "caught")
        assert tl.is_grad_enabled()
        await stream.aclose()

        @mode()
        async def three():
            for i in range(3):
                await asyncio.sleep(0)
                yield i

        return [i async for i in three()]

    assert asyncio.run(run()) == [0, 1, 2]
    assert closed == [False]
    assert tl.is_grad_enabled()
