"""What is no tensor among results and gradients of functions, hooks and plans."""

import pytest

import tallow as tl
from tallow.errors import DTypeError


def function(result, gradient):
    class Given(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return result(x)

        @staticmethod
        def backward(ctx, *grads):
            return gradient(*grads)

    return Given.apply


def test_functions_give_on_what_is_no_tensor():
    x = tl.ones(2, requires_grad=True)
    seen = []

    def gradient(*grads):
        seen.append([g if g is None else g.tolist() for g in grads])
        return grads[1] * 5

    y = function(lambda x: ("text", x * 2, None, x * 3), gradient)(x)
    assert y[0] == "text" and y[2] is None and y[3].tolist() == [3, 3]
    y[1].sum().backward()
    assert seen == [[None, [1, 1], None, [0, 0]]] and x.grad.tolist() == [5, 5]


def test_what_is_no_tensor_is_refused_by_name():
    x = tl.ones(2, requires_grad=True)
    with pytest.raises(DTypeError, match="Given: expected a Tensor or a tuple"):
        function(lambda x: 1, lambda g: g)(x)
    with pytest.raises(DTypeError, match=r"Given\.backward: expected Tensors or None, got int"):
        function(lambda x: x * 2, lambda g: 1)(x).sum().backward()
    y = x * 2
    y.register_hook(lambda g: "text")
    with pytest.raises(DTypeError, match="a Tensor or None of a hook, got str"):
        y.sum().backward()
    with pytest.raises(DTypeError, match="expected Tensors, got str"):
        tl.autograd.jvp(lambda x: x, "a", (x,))
    with pytest.raises(DTypeError, match="plan: expected a Tensor, got NoneType"):
        tl.capture(lambda x: x + 1, tl.ones(2))(None)
