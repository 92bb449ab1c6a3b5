"""Cross entropy of a linear map: equal to its two parts, whole and by chunks."""

import pytest

import tallow.torch as torch
from tallow.errors import ArgumentError, ShapeError
from tallow.torch import nn
from tallow.torch.nn import functional as F


def arguments():
    torch.manual_seed(0)
    x = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, dtype=torch.float64, requires_grad=True)
    return x, w, b, torch.tensor([0, 4, 2, -100, 1, 1, 3])


@pytest.mark.parametrize("size", [None, 1, 3, 100, "whole"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_equals_its_parts(reduction, weighted, size):
    x, w, b, target = arguments()
    weight = torch.rand(5, dtype=torch.float64) + 0.5 if weighted else None
    options = None if size == "whole" else nn.LinearCrossEntropyOptions(batch_chunk_size=size)
    found = F.linear_cross_entropy(
        x, w, target, linear_bias=b, weight=weight, reduction=reduction, options=options
    )
    wanted = F.cross_entropy(F.linear(x, w, b), target, weight, reduction=reduction)
    assert torch.allclose(found, wanted)
    gradients = [
        torch.autograd.grad((loss * (2 + torch.arange(loss.numel()))).sum(), (x, w, b))
        for loss in (found, wanted)
    ]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other)


def test_losses_of_several_axes_and_probabilities():
    x, _, _, _ = arguments()
    w = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    b = torch.randn(5, 2, 3, dtype=torch.float64)
    target = torch.randint(0, 5, (7, 2, 3))
    logits = torch.einsum("ni,cdei->ncde", x, w) + b
    found = F.linear_cross_entropy(x, w, target, linear_bias=b, label_smoothing=0.1)
    assert torch.allclose(found, F.cross_entropy(logits, target, label_smoothing=0.1))
    soft = logits.softmax(1).detach()
    assert torch.allclose(
        F.linear_cross_entropy(x, w, soft, linear_bias=b), F.cross_entropy(logits, soft)
    )
    one = F.linear_cross_entropy(x[0], w[:, 0, 0], torch.tensor(2))
    assert torch.allclose(one, F.cross_entropy(x[0] @ w[:, 0, 0].T, torch.tensor(2)))


def test_the_layer():
    layer = nn.LinearCrossEntropyLoss(4, 3, out_features=(2,), bias=True)
    assert {n: tuple(p.shape) for n, p in layer.named_parameters()} == {
        "linear.weight": (6, 4), "linear.bias": (6,),
    }  # fmt: skip
    x, target = torch.randn(5, 4), torch.randint(0, 3, (5, 2))
    wanted = F.cross_entropy(layer.linear(x).reshape(5, 3, 2), target)
    assert torch.allclose(layer(x, target), wanted)
    layer(x, target).backward()
    assert layer.linear.weight.grad.abs().sum() > 0


def test_what_does_not_fit():
    x, w, b, target = arguments()
    with pytest.raises(ShapeError, match="linear_weight of 4 columns"):
        F.linear_cross_entropy(x, torch.ones(5, 3), target)
    with pytest.raises(ShapeError, match="input of 1 or 2 axes"):
        F.linear_cross_entropy(x[None], w, target)
    with pytest.raises(ShapeError, match="linear_bias of shape"):
        F.linear_cross_entropy(x, w, target, linear_bias=b[:3])
    with pytest.raises(ArgumentError, match="no ignore_index beside probabilities"):
        F.linear_cross_entropy(x, w, torch.ones(7, 5), ignore_index=0)
    with pytest.raises(ShapeError, match="a batch for a loss of several axes"):
        F.linear_cross_entropy(x[0], torch.ones(5, 2, 4), target[:2])
