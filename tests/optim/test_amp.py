"""autocast: what runs in bf16, what in f32, gradients, nesting, threads, no traces left."""

from __future__ import annotations

import threading

import pytest

import tallow as tl
from tallow import amp
from tallow.autograd.mode import MODE
from tallow.errors import ArgumentError
from tallow.nn import functional as F


def test_products_are_bf16_and_losses_f32():
    x, w = tl.ones(4, 8), tl.ones(3, 8).requires_grad_()
    with amp.autocast("cpu"):
        y = F.linear(x, w)
        assert y.dtype is tl.bf16
        assert (x @ w.T).dtype is tl.bf16
        assert (x + 1).dtype is tl.f32
        assert F.softmax(y, dim=-1).dtype is tl.f32
        loss = F.cross_entropy(y, tl.tensor([0, 1, 2, 0]))
        assert loss.dtype is tl.f32
    loss.backward()
    assert w.grad.dtype is tl.f32 and w.grad.shape == w.shape
    assert F.linear(x, w).dtype is tl.f32


def test_gradients_are_near_those_of_f32():
    tl.manual_seed(0)
    x, goal = tl.randn(16, 32), tl.randn(16, 8)
    found = []
    for enabled in (False, True):
        a = tl.randn(24, 32, generator=tl.Generator().manual_seed(1)).requires_grad_()
        b = tl.randn(8, 24, generator=tl.Generator().manual_seed(2)).requires_grad_()
        with amp.autocast("cpu", enabled=enabled):
            loss = F.mse_loss(F.linear(F.linear(x, a).tanh(), b), goal)
        loss.backward()
        found.append((loss.item(), a.grad, b.grad))
    (loss, *grads), (near, *others) = found
    assert near == pytest.approx(loss, rel=0.02) and near != loss
    for g, h in zip(grads, others, strict=True):
        assert (g - h).abs().mean().item() < 0.03 * g.abs().mean().item()


def test_convolutions():
    x = tl.randn(2, 3, 8, 8)
    w = tl.randn(4, 3, 3, 3).requires_grad_()
    with amp.autocast("cpu"):
        y = F.conv2d(x, w, padding=1)
    assert y.dtype is tl.bf16
    y.float().sum().backward()
    assert w.grad.dtype is tl.f32


def test_weights_are_cast_once():
    w = tl.ones(3, 8).requires_grad_()
    x = tl.ones(4, 8)
    with amp.autocast("cpu"):
        F.linear(x, w)
        first = MODE.autocast._cache[id(w)][2]
        y = F.linear(x, w)
        assert MODE.autocast._cache[id(w)][2] is first
        with tl.no_grad():
            w.mul_(2)
        z = F.linear(x, w)  # a changed weight is cast again
    assert z[0, 0].item() == 2 * y[0, 0].item()
    assert MODE.autocast is None


def test_nesting_dtypes_and_decoration():
    x = tl.ones(2, 2)
    with amp.autocast("cpu", dtype=tl.f16):
        assert (x @ x).dtype is tl.f16 and amp.get_autocast_dtype() is tl.f16
        with amp.autocast("cpu", enabled=False):
            assert (x @ x).dtype is tl.f32 and not amp.is_autocast_enabled()
        assert (x @ x).dtype is tl.f16
        with amp.autocast("cpu"):
            assert (x @ x).dtype is tl.bf16
        assert (x.double() @ x.double()).dtype is tl.f64

    @amp.autocast("cpu")
    def product(a):
        return a @ a

    assert product(x).dtype is tl.bf16 and (x @ x).dtype is tl.f32


def test_other_threads_are_left_alone():
    found = []
    x = tl.ones(2, 2)
    with amp.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert found == [tl.f32]


def test_an_exception_ends_it():
    with pytest.raises(ZeroDivisionError), amp.autocast("cpu"):
        raise ZeroDivisionError
    assert (tl.ones(2, 2) @ tl.ones(2, 2)).dtype is tl.f32


def test_what_is_refused():
    for args in (("tpu",), ("cpu", tl.f32), ("cpu", tl.i64)):
        with pytest.raises(ArgumentError):
            amp.autocast(*args)
