"""Views taken in place: shape, memory and history of the tensor itself."""

import pytest

import tallow as tl


def test_the_memory_stays():
    x = tl.arange(6).reshape(2, 3).clone()
    flat = x.view(6)
    assert x.t_() is x
    assert x.shape == (3, 2)
    assert x.stride() == (1, 3)
    x[0, 1] = 50
    assert flat.tolist() == [0, 1, 2, 50, 4, 5]


def test_gradients_go_through():
    w = tl.arange(6).to("f32").reshape(2, 3).requires_grad_()
    x = w * 2
    x.unsqueeze_(0).transpose_(1, 2)
    (x.squeeze_(0) * tl.arange(6).reshape(3, 2)).sum().backward()
    assert w.grad.tolist() == [[0, 4, 8], [2, 6, 10]]


@pytest.mark.parametrize("name", ["t_", "squeeze_"])
def test_leaves_are_refused(name):
    w = tl.ones(1, 3).requires_grad_()
    with pytest.raises(tl.errors.GradError, match="leaf"):
        getattr(w, name)()
    with tl.no_grad():
        getattr(w, name)()
    assert w.shape in ((3, 1), (3,))
