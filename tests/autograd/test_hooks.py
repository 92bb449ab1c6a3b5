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


def test_what_is_kept_is_what_all_hooks_made_of_it():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0] and x.grad.tolist() == [30.0]


@pytest.mark.parametrize("view", [False, True])
def test_kept_gradients_follow_changes_in_place(view):
    """Kept is the gradient of the tensor as it is at last, as in torch."""
    x = leaf(2.0, 3.0)
    y = x * 3
    y.retain_grad()
    (y[:] if view else y).mul_(5)
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [30.0, 30.0]
    assert y.retains_grad


def test_backward_into_a_result_keeps_its_gradient_from_then_on():
    x = leaf(2.0)
    y = x * 3
    (y * 4).sum().backward(inputs=[y])
    assert y.grad.tolist() == [4.0] and x.grad is None and y.retains_grad
    (y * 4).sum().backward()
    assert y.grad.tolist() == [8.0] and x.grad.tolist() == [12.0]


def test_leaves_are_done_as_soon_as_may_be():
    """As in torch: what a hook frees is free before the rest is computed."""
    first, last, seen = leaf(1.0), leaf(2.0), []
    h = first * 3
    h.register_hook(lambda g: seen.append("h"))
    for name, x in (("first", first), ("last", last)):
        x.register_post_accumulate_grad_hook(lambda p, name=name: seen.append(name))
    (h * last).sum().backward()
    assert seen == ["last", "h", "first"]


def test_an_error_leaves_the_gradients_that_were_done():
    x, w = leaf(2.0), leaf(3.0)
    y = x.exp()
    out = (y * 2 + w).sum()
    y.detach().zero_()
    with pytest.raises(GradError, match="changed in place"):
        out.backward()
    assert w.grad.tolist() == [1.0] and x.grad is None


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
