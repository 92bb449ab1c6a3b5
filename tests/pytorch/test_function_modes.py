"""TorchFunctionMode: what a mode sees, what it may change, and that nothing of it stays."""

import threading

import pytest

import tallow as tl
import tallow.torch as torch
from tallow import overrides
from tallow.torch.overrides import BaseTorchFunctionMode, TorchFunctionMode

CALLS = {
    "torch.exp(x)": "exp",
    "x + 1": "add",
    "2 * x": "mul",
    "x.sum(0)": "sum",
    "torch.nn.functional.relu(x)": "relu",
    "x.to(torch.float64)": "to",
    "x[0]": "__getitem__",
    "w.mul(2)": "mul",
    "w + w": "add",
    "torch.cat([x, x])": "cat",
    "x.clone().add_(1)": "clone add_",
    "torch.matmul(x, w)": "matmul",
    "x.mean().item()": "mean item",
    "torch.zeros(2)": "zeros",
    "torch.arange(3)": "arange",
    "torch.rand(2)": "rand",
    "torch.tensor([1.0])": "tensor",
}


def given(library):
    return {
        "torch": library, "x": library.ones(2, 3), "w": library.nn.Parameter(library.ones(3)),
    }  # fmt: skip


def seen_of(library, mode, call):
    names = []

    class Watching(mode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            names.append(func.__name__)
            return func(*args, **(kwargs or {}))

    about = given(library)
    with Watching():
        eval(call, about)
    return " ".join(names)


@pytest.mark.parametrize("call", CALLS)
def test_a_mode_sees_each_function(call):
    assert seen_of(torch, TorchFunctionMode, call) == CALLS[call]


@pytest.mark.needs_torch
@pytest.mark.parametrize("call", CALLS)
def test_torch_shows_the_same(call):
    import torch as reference
    from torch.overrides import TorchFunctionMode as Theirs

    assert seen_of(reference, Theirs, call) == CALLS[call]


class Zeros(TorchFunctionMode):
    """exp is 0, log is left to others."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.log:
            return NotImplemented
        return torch.zeros(1) if func is torch.exp else func(*args, **(kwargs or {}))


def test_modes_change_results_and_nest():
    x = torch.ones(2)
    before = dict(vars(tl.Tensor)), set(overrides.PLAIN), tl.zeros, torch.zeros
    with Zeros() as outer, BaseTorchFunctionMode() as inner:
        assert torch.exp(x).tolist() == [0.0] and torch.log(x).tolist() == [0.0, 0.0]
        assert torch.overrides._get_current_function_mode() is inner
        assert torch.overrides._get_current_function_mode_stack() == [outer, inner]
        assert repr(x) == "tensor([1., 1.])"
    assert (dict(vars(tl.Tensor)), set(overrides.PLAIN), tl.zeros, torch.zeros) == before
    assert torch.exp(x).tolist() == pytest.approx([2.718281828] * 2)
    with pytest.raises(ZeroDivisionError), Zeros():
        raise ZeroDivisionError
    assert (dict(vars(tl.Tensor)), set(overrides.PLAIN), tl.zeros, torch.zeros) == before


def test_gradients_under_a_mode():
    x = torch.ones(3, requires_grad=True)
    with BaseTorchFunctionMode():
        (x * x + torch.exp(x)).sum().backward()
    assert torch.allclose(x.grad, 2 + torch.exp(torch.ones(3)))


def test_a_mode_is_of_its_thread():
    found = []
    with Zeros():
        thread = threading.Thread(target=lambda: found.append(torch.exp(torch.zeros(2)).tolist()))
        thread.start()
        thread.join()
    assert found == [[1.0, 1.0]]


def test_classes_of_arguments_are_asked_after_the_mode():
    class Own(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "own"

    x = torch.ones(2).as_subclass(Own)
    with Zeros():
        assert torch.exp(x).tolist() == [0.0] and torch.log(x) == "own"
    assert torch.exp(x) == "own"
