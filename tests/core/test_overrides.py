"""Subclasses of Tensor keep their class; `__torch_function__` takes functions over, as in torch."""

import copy
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

import tallow as tl
from tallow import nn


class Mine(tl.Tensor):
    """A subclass and nothing more."""


F = nn.functional
KEPT = {
    "x + 1": lambda x: x + 1,
    "1 - x": lambda x: 1 - x,
    "plain + x": lambda x: tl.ones(2, 3) + x,
    "x + plain": lambda x: x + tl.ones(2, 3),
    "plain @ x": lambda x: tl.ones(2, 2) @ x,
    "-x": lambda x: -x,
    "x > 0": lambda x: x > 0,
    "x[0]": lambda x: x[0],
    "x[mask]": lambda x: x[x > 0],
    "x.sum()": lambda x: x.sum(),
    "tl.sum": lambda x: tl.sum(x, 1),
    "input=": lambda x: tl.sum(input=x),
    "exp": lambda x: x.exp(),
    "reshape": lambda x: x.reshape(3, 2),
    "float": lambda x: x.double(),
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "T": lambda x: x.T,
    "cat": lambda x: tl.cat([tl.ones(2, 3), x]),
    "stack": lambda x: tl.stack((x, x)),
    "where": lambda x: tl.where(x > 0, x, 0.0),
    "max": lambda x: x.max(0).values,
    "split": lambda x: x.split(1)[0],
    "relu": lambda x: F.relu(x),
    "linear": lambda x: F.linear(x, tl.ones(4, 3)),
    "layer_norm": lambda x: F.layer_norm(x, (3,)),
    "Linear": lambda x: nn.Linear(3, 2)(x),
    "add_": lambda x: x.add_(1),
    "relu_": lambda x: x.relu_(),
    "zero_": lambda x: x.zero_(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def mine(cls=Mine):
    return tl.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]).as_subclass(cls)


@pytest.mark.parametrize("name", KEPT)
def test_a_subclass_is_kept(name):
    plain = KEPT[name](mine().as_subclass(tl.Tensor)) if name != "Linear" else None
    made = KEPT[name](mine())
    assert type(made) is Mine
    if plain is not None:
        assert type(plain) is tl.Tensor
        assert made.tolist() == plain.tolist()


def test_made_by_its_constructor_and_changed_by_operators():
    x = Mine([1.0, 2.0])
    y = x
    y += 1
    assert y is x
    assert type(x * x) is Mine
    assert x.tolist() == [2.0, 3.0]
    assert type(pickle.loads(pickle.dumps(x))) is Mine
    assert repr(Mine([1.0])).startswith("Mine(")


def test_gradients_pass_through_a_subclass():
    leaf = mine().requires_grad_()
    out = ((leaf * 2) ** 2).sum()
    assert type(out) is Mine
    out.backward()
    assert leaf.grad.tolist() == (8 * leaf.detach()).tolist()


def test_a_view_of_a_subclass_stays_a_view():
    x = mine()
    x[0].zero_()
    x.view(6)[-1:].fill_(7)
    assert x.tolist() == [[0, 0, 0], [4, 5, 7]]


def test_parameters_and_buffers_give_plain_tensors():
    weight = nn.Parameter(tl.ones(2))
    assert type(weight + 1) is type(weight.clone()) is type(weight.sum()) is tl.Tensor
    assert type(nn.Buffer(tl.ones(2)) * 2) is tl.Tensor

    class Named(nn.Parameter):
        pass

    assert type(Named(tl.ones(2)) * 2) is tl.Tensor


def test_results_of_a_plain_argument_leave_it_plain():
    x, scale = tl.ones(2), mine().sum()
    kept = tl.add(x, scale)
    assert type(kept) is Mine
    assert type(x) is tl.Tensor


class Logging(tl.Tensor):
    called: ClassVar[list[Any]] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.called.append((func.__name__, types))
        return super().__torch_function__(func, types, args, kwargs)


def test_an_override_sees_functions_methods_and_operators():
    x = mine(Logging)
    Logging.called = []
    made = F.relu(tl.add(x, 1).sum(0)) * 2
    assert type(made) is Logging
    assert [name for name, _ in Logging.called] == ["add", "sum", "relu", "mul"]
    assert all(types == (Logging,) for _, types in Logging.called)


class Scalar:
    """N on the diagonal: the example of torch's page on extending it."""

    handled: ClassVar[dict[Any, Any]] = {}

    def __init__(self, n, value):
        self.n, self.value = n, value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in cls.handled or not all(issubclass(t, (tl.Tensor, cls)) for t in types):
            return NotImplemented
        return cls.handled[func](*args, **(kwargs or {}))


Scalar.handled[tl.mean] = lambda x: float(x.value) / x.n
Scalar.handled[tl.cat] = lambda tensors, dim=0: ("cat", len(tensors), dim)
Scalar.handled[tl.add] = lambda a, b: ("add", type(a).__name__, type(b).__name__)
Scalar.handled[tl.exp] = lambda x: Scalar(x.n, 1)


def test_a_type_that_is_no_tensor_takes_functions_over():
    d = Scalar(5, 2)
    assert tl.mean(d) == 0.4
    assert tl.mean(input=d) == 0.4
    assert tl.cat([d, tl.ones(2)], dim=1) == ("cat", 2, 1)
    assert tl.add(d, tl.ones(2)) == ("add", "Scalar", "Tensor")
    assert tl.add(tl.ones(2), d) == ("add", "Tensor", "Scalar")
    assert isinstance(tl.exp(d), Scalar)
    with pytest.raises(TypeError, match="__torch_function__"):
        tl.log(d)
    with pytest.raises(TypeError, match="__torch_function__"):
        tl.softmax(d, 0)


def test_the_subclass_is_asked_before_its_base():
    class Base(tl.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "base"

    class Derived(Base):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "derived"

    assert tl.add(mine(Base), mine(Derived)) == "derived"
    assert mine(Base) + mine(Derived) == "derived"
    assert mine(Base) + 1 == "base"


@pytest.mark.parametrize("name", ["empty_like", "zeros_like", "ones_like", "rand_like"])
def test_what_takes_after_a_tensor_keeps_its_class(name):
    assert type(getattr(tl, name)(mine())) is Mine
    assert type(getattr(tl, name)(input=mine())) is Mine
    assert type(tl.full_like(mine(), 2)) is Mine


def test_two_classes_of_which_neither_is_the_others_base():
    class Other(tl.Tensor):
        pass

    with pytest.raises(TypeError, match="__torch_function__"):
        tl.add(mine(), mine(Other))


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", [n for n in KEPT if n not in ("Linear", "plain @ x", "deepcopy")])
def test_torch_keeps_the_class_there_too(name, monkeypatch):
    import torch

    class Theirs(torch.Tensor):
        pass

    monkeypatch.setitem(globals(), "tl", torch)
    monkeypatch.setitem(globals(), "F", torch.nn.functional)
    x = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]).as_subclass(Theirs)
    assert type(KEPT[name](x)) is Theirs
    assert np.isfinite(KEPT[name](x).numpy()).all()


def test_what_the_caller_gave_keeps_its_class():
    plain, mine = tl.ones(2), tl.ones(2).as_subclass(type("Mine", (tl.Tensor,), {}))
    for call in (lambda xs: xs[0], lambda xs: (xs[0], xs[1])):
        made = type(mine).__torch_function__(call, (type(mine),), ([plain, mine],))
        first = made[0] if isinstance(made, tuple) else made
        assert type(first) is type(mine)
        assert type(plain) is tl.Tensor
