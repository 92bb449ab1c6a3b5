"""Hooks of modules, forwards and backwards, and what they cost when there are none."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow import nn
from tallow.nn.hooks import register


class Twice(nn.Module):
    def forward(self, x, *, plus=0):
        return x * 2 + plus


def test_forward_is_looked_up_when_a_module_is_called(monkeypatch):
    class Mixin:
        def forward(self, x):
            return x + 1

    class Mixed(Mixin, Twice):
        pass

    class Other(nn.Module):
        pass

    x = tl.tensor(3.0)
    assert Mixed()(x) == 4
    assert Twice()(x, plus=1) == 7
    with pytest.raises(NotImplementedError, match="forward"):
        Other()(x)
    Other.forward = lambda self, x: x * 5
    assert Other()(x) == 15
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x * 9)
    assert nn.Sequential(nn.ReLU())(x) == 27
    mine = Twice()
    mine.forward = lambda x: x - 1
    assert mine(x) == 2
    del mine.forward
    assert mine(x) == 6


def test_hooks_of_all_modules():
    seen = []
    handle = register(nn.Module, "forward", lambda m, args, out: seen.append(type(m).__name__))
    nn.Sequential(nn.ReLU())(tl.tensor(1.0))
    handle.remove()
    nn.ReLU()(tl.tensor(1.0))
    nn.Module._hooks = None
    assert seen == ["ReLU", "Sequential"]


def test_forward_hooks():
    class Mine(Twice):
        def forward(self, x, *, plus=0):
            return x * 3 + plus

    module, seen = Mine(), []
    before = module.register_forward_pre_hook(lambda m, args: seen.append(args[0].item()))
    change = module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    after = module.register_forward_hook(lambda m, args, out: out * 10)
    assert module(tl.tensor(1.0)).item() == 60
    assert seen == [1]
    assert Mine()(tl.tensor(1.0)).item() == 3
    assert module(tl.tensor(1.0), plus=1).item() == 70
    change.remove()
    after.remove()
    after.remove()
    assert module(tl.tensor(1.0)).item() == 3
    before.remove()
    with module.register_forward_hook(lambda m, args, out: out - 1):
        assert module(tl.tensor(1.0)).item() == 2
    assert module(tl.tensor(1.0)).item() == 3


def test_hooks_with_keywords_and_order():
    module, order = Twice(), []
    module.register_forward_pre_hook(lambda m, a: order.append("second"))
    module.register_forward_pre_hook(lambda m, a: order.append("first"), prepend=True)
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {**kwargs, "plus": 5}), with_kwargs=True
    )
    module.register_forward_hook(
        lambda m, args, kwargs, out: out + kwargs["plus"], with_kwargs=True
    )
    assert module(tl.tensor(1.0)).item() == 12
    assert order == ["first", "second"]


def test_a_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ValueError, match="no"):
        module(tl.tensor(1.0))
    assert seen == [None]


def test_a_replaced_forward_is_called():
    module = Twice()
    module.forward = lambda x: x * 7
    assert module(tl.tensor(1.0)).item() == 7
    assert Twice()(tl.tensor(1.0)).item() == 2


def test_backward_hooks():
    module, seen = nn.Linear(2, 3), []

    def hook(m, grad_input, grad_output):
        seen.append((m is module, grad_input[0].shape, grad_output[0].shape))
        return (grad_input[0] * 10,)

    x = tl.ones(4, 2).requires_grad_()
    module(x).sum().backward()
    plain = x.grad.tolist()
    x.grad = None
    with module.register_full_backward_hook(hook):
        module(x).sum().backward()
    assert seen == [(True, (4, 2), (4, 3))]
    assert x.grad.flatten().tolist() == pytest.approx([v * 10 for row in plain for v in row])
    x.grad = None
    with module.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,)):
        module(x).sum().backward()
    assert x.grad.flatten().tolist() == pytest.approx([v * 2 for row in plain for v in row])


def test_backward_hook_without_a_gradient_of_the_input():
    module, seen = nn.Linear(2, 3), []
    module.register_full_backward_hook(lambda m, i, o: seen.append((i, o[0].shape)))
    module(tl.ones(4, 2)).sum().backward()
    assert seen == [((None,), (4, 3))]
    assert module.weight.grad is not None
