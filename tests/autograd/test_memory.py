"""Training leaks nothing: steps leave the memory as it was."""

import gc
import sys

import pytest

import tallow as tl
from alone import resident, run_alone


def net():
    """Two layers of weights with gradients, and a step of plain gradient descent."""
    first = (tl.ones(16, 32) * 0.1).requires_grad_()
    second = (tl.ones(32, 4) * 0.1).requires_grad_()
    x = tl.arange(8 * 16).to("f32").reshape(8, 16) / 100

    def step():
        h = (x @ first).relu()
        h = h + h.tanh()
        out = (h @ second).softmax(-1)
        loss = (out * out).mean()
        loss.backward()
        with tl.no_grad():
            for p in (first, second):
                p.sub_(p.grad * 0.01)
                p.grad = None
        return loss.item()

    return step


def grown(steps):
    step = net()
    for _ in range(200):
        step()
    gc.collect()
    tl._native.pool_trim()
    objects, memory = len(gc.get_objects()), resident()
    for _ in range(steps):
        step()
    gc.collect()
    tl._native.pool_trim()
    return len(gc.get_objects()) - objects, resident() - memory


@pytest.mark.plain_memory
def test_steps_leave_memory_as_it_was():
    """In a process of its own, where no other test's memory comes and goes."""
    objects, memory = map(int, run_alone(__file__, 1000).split())
    assert objects < 50 and memory < 1 << 20, (objects, memory)


@pytest.mark.slow
def test_ten_thousand_steps_leave_memory_as_it_was():
    objects, memory = map(int, run_alone(__file__, 10_000).split())
    assert objects < 50 and memory < 1 << 20, (objects, memory)


def test_steps_leave_nothing_to_the_garbage_collector():
    step = net()
    step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            step()
        assert gc.collect() < 50
    finally:
        gc.enable()


def many_views():
    """How memory grows while a base is viewed a hundred thousand times."""
    base = tl.ones(64).requires_grad_() * 1
    for _ in range(2000):
        base[3:9]
    gc.collect()
    start = resident()
    for _ in range(100_000):
        base[3:9]
    return resident() - start


@pytest.mark.plain_memory
def test_views_kept_over_many_steps():
    """A base remembers its views weakly: a million short-lived ones cost nothing."""
    assert int(run_alone(__file__, "views")) < 2 << 20


def test_hooks_and_kept_gradients_leave_nothing():
    x = tl.ones(1000).requires_grad_()
    for _ in range(100):
        y = x * 2
        y.register_hook(lambda g: None)
        y.retain_grad()
        y.sum().backward()
        x.grad = None
    gc.collect()
    start = tl._native.pool_stats()[0]
    for _ in range(100):
        y = x * 2
        y.register_hook(lambda g: None)
        y.retain_grad()
        y.sum().backward()
        x.grad = None
    gc.collect()
    assert tl._native.pool_stats()[0] - start <= 2 * x.nbytes


if __name__ == "__main__":
    print(many_views()) if sys.argv[1] == "views" else print(*grown(int(sys.argv[1])))
