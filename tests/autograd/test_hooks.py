"""Hooks on gradients, and gradients kept of results."""

import pytest

import tallow as tl
from tallow.errors import GradError


def leaf(*values):
    return tl.tensor(list(values), dtype="f64").requires_grad_()


def test_a_hook_sees_the_gradient():
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 3).sum().backward()
    assert seen == [[3.0, 3.0]] and x.grad.tolist() == [3.0, 3.0]


def test_a_hook_replaces_the_gradient():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]


def test_hooks_run_in_order_and_once_with_the_whole_gradient():
    x, seen = leaf(1.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.item()))
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 3 + y * 4).sum().backward()
    assert seen == [7.0, 8.0] and x.grad.tolist() == [16.0]


def test_a_removed_hook_is_silent():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda g: seen.append(g))
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    assert not seen


def test_hooks_need_a_graph():
    with pytest.raises(GradError):
        tl.ones(2).register_hook(print)
    with pytest.raises(GradError):
        tl.ones(2).retain_grad()


def test_hooks_change_what_grad_gives():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 5)
    (g,) = tl.autograd.grad((x * 2).sum(), x)
    assert g.tolist() == [10.0]


def test_kept_gradients_of_results():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    assert y.grad is None
    (y * y).sum().backward()
    assert y.grad.tolist() == [12.0] and x.grad.tolist() == [36.0]


def test_hook_after_a_leaf_has_its_gradient():
    x, seen = leaf(1.0), []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.item()))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [2.0, 4.0]


def test_an_error_in_a_hook_comes_out():
    x = leaf(1.0)

    def fail(_):
        raise KeyError("mine")

    x.register_hook(fail)
    with pytest.raises(KeyError, match="mine"):
        (x * 2).sum().backward()
    assert tl.is_grad_enabled()
