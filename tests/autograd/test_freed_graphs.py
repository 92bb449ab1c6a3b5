"""What the backward pass lets go of: frozen parts, used graphs, graphs too deep for recursion."""

import gc

import tallow as tl
from autograd.test_backward import leaf


def live_bytes():
    gc.collect()
    return tl._native.pool_stats()[0]


def test_frozen_parts_keep_no_memory():
    """What only frozen tensors went into is not kept: 20 layers cost the memory of one."""
    weight = tl.ones(256, 256)
    x = tl.ones(64, 256)
    before = live_bytes()
    h = x
    for _ in range(20):
        h = (h @ weight).tanh()
    head = tl.ones(256, 1).requires_grad_()
    loss = (h @ head).sum()
    kept = live_bytes() - before
    assert kept < 4 * h.nbytes
    loss.backward()
    assert head.grad.shape == (256, 1)


def test_used_graphs_let_their_memory_go():
    x = tl.ones(512, 512).requires_grad_()
    y = x
    before = live_bytes()
    for _ in range(10):
        y = y.exp() * 0.1
    loss = y.sum()
    del y
    held = live_bytes() - before
    loss.backward()
    after = live_bytes() - before
    assert held > 8 * x.nbytes and after < 4 * x.nbytes, (held, after)
    del loss


def test_a_product_by_a_constant_keeps_one_factor():
    """`x @ w` with w frozen needs w alone for x's gradient: x itself is let go."""
    x = tl.ones(512, 512).requires_grad_()
    w = tl.ones(512, 512)
    before = live_bytes()
    h = x * 2
    y = h @ w
    del h
    assert live_bytes() - before < 2.5 * x.nbytes
    del y


def test_deep_graphs_do_not_recurse():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0]


def test_deep_graphs_are_freed_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y
    gc.collect()
    z = x
    for _ in range(100_000):
        z = z + x
    z.sum().backward()
    assert x.grad.tolist() == [100_001.0]
    del z


def test_graphs_are_freed_without_the_garbage_collector():
    """No cycle holds a graph: its memory is back when the last reference goes."""
    gc.collect()
    gc.disable()
    try:
        x = tl.ones(256, 256).requires_grad_()
        start = tl._native.pool_stats()[0]
        for _ in range(5):
            y = (x.exp() * x).tanh() @ x
            del y
        assert tl._native.pool_stats()[0] - start < x.nbytes
        for _ in range(5):
            (x.exp() * x).softmax(-1).sum().backward()
            x.grad = None
        assert tl._native.pool_stats()[0] - start < x.nbytes
    finally:
        gc.enable()
