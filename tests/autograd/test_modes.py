"""Grad modes: no_grad, inference_mode, enable_grad, set_grad_enabled; threads, decorators."""

import threading

import pytest

import tallow as tl
from tallow.errors import GradError


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


INFERENCE_WRITES = {
    "add_": lambda x: x.add_(1),
    "exp_": lambda x: x.exp_(),
    "setitem": lambda x: x.__setitem__(0, 5.0),
    "of a view": lambda x: x[:1].zero_(),
    "of an expanded view": lambda x: x.expand(2, 3).fill_(1),
    "normal_": lambda x: x.normal_(),
    "index_fill_": lambda x: x.index_fill_(0, tl.tensor([0]), 2.0),
    "out=": lambda x: tl.add(tl.ones(3), 1, out=x),
}


@pytest.mark.parametrize("name", INFERENCE_WRITES)
def test_what_inference_makes_is_changed_only_in_it(name):
    write = INFERENCE_WRITES[name]
    with tl.inference_mode():
        x = tl.ones(3) * 2
        with tl.no_grad():
            write(x)  # still in inference mode
    before = x.tolist()
    for where in (tl.enable_grad, tl.no_grad):
        with where(), pytest.raises(GradError, match="inference_mode"):
            write(x)
    assert x.tolist() == before
    write(x.clone())
    with tl.inference_mode():
        write(x)


def test_what_is_marked_as_made_in_inference():
    outside = tl.ones(3)
    with tl.inference_mode():
        x, view = outside * 2, outside[:2]
        with tl.inference_mode(False):
            between = tl.ones(2)
    assert x.is_inference() and x[0].is_inference() and x.data.is_inference()
    assert not (outside.is_inference() or view.is_inference() or between.is_inference())
    assert not x.clone().is_inference() and not (x * 2).is_inference()
    with pytest.raises(GradError, match="inference_mode"):
        x.requires_grad_()
    x.data.add_(1)  # as in torch
    x.detach().add_(1)
    assert x.tolist() == [4.0] * 3
    outside.requires_grad_()


def test_inference_is_of_one_thread():
    made = []
    with tl.inference_mode():
        thread = threading.Thread(target=lambda: made.append(tl.ones(2)))
        thread.start()
        thread.join()
    made[0].add_(1)
    assert not made[0].is_inference()


def test_a_backward_pass_in_inference_makes_plain_gradients():
    x = tl.ones(2).requires_grad_()
    y = (x * x).sum()
    with tl.inference_mode():
        y.backward()
        assert tl.ones(1).is_inference()
    x.grad.add_(1)
    assert x.grad.tolist() == [3.0, 3.0]


def test_numbers_are_drawn_inside_and_outside():
    with tl.inference_mode():
        generator = tl.Generator()
        tl.rand(2, generator=generator)
    tl.rand(2, generator=generator)
    generator.manual_seed(3)
