"""Every op: what changes in place between the op and its backward never changes a gradient.

Such a change is refused, or the gradients are as without it; refused is only what torch refuses.
"""

import numpy as np
import pytest

import tallow as tl
from ops import laws
from ops.laws import CASES, convert, samples
from tallow.errors import GradError
from tallow.registry import OPS

NAMES = [
    name for name, case in CASES.items()
    if case.gradient and not case.random and "f64" in case.dtypes
]  # fmt: skip
FEW = 3  # samples of each op


def gradients(make, call, kind, change=None):
    """The gradients by all floats among the operands, after a change of one tensor in place.

    `change` is ("operand" or "result", its number). LookupError when there is no such tensor.
    """
    leaves, operands = [], []

    def leaf(array):
        made = make(array)
        if array.dtype == np.float64:
            leaves.append(made.requires_grad_())
            made = made.clone()
        operands.append(made)
        return made

    outs = [x for x in laws.leaves(call(leaf)) if isinstance(x, kind)]
    sums = [x.sum() for x in outs if x.requires_grad]
    if not sums:
        raise LookupError
    if change is not None:
        target = (operands if change[0] == "operand" else outs)[change[1]].detach()
        if 0 in target.stride() and target.numel() > 1:
            raise LookupError
        target.copy_(target == 0)
    total = sums[0]
    for x in sums[1:]:
        total = total + x
    (total.real if total.is_complex() else total).backward()
    return [None if x.grad is None else np.array(x.grad.tolist()) for x in leaves]


def ours(name, sample, change=None):
    def call(leaf):
        return OPS[name](*convert(sample.args, leaf), **convert(sample.kwargs, leaf))

    return gradients(lambda x: tl.from_numpy(np.array(x)).clone(), call, tl.Tensor, change)


def outcomes(name):
    """(number of the sample, sample, change, gradients or None when it was refused)."""
    for n, sample in enumerate(samples(name, "f64")[:FEW]):
        for kind in ("operand", "result"):
            for i in range(4):
                try:
                    found = ours(name, sample, (kind, i))
                except LookupError:
                    break
                except GradError:
                    found = None
                yield n, sample, (kind, i), found


def same(a, b):
    return (a is None and b is None) or (
        a is not None and b is not None and np.allclose(a, b, equal_nan=True)
    )


def silent(name):
    """The changes that were let through and changed a gradient."""
    return [
        f"sample {n}, {kind} {i}"
        for n, sample, (kind, i), found in outcomes(name)
        if found is not None and not all(map(same, found, ours(name, sample)))
    ]


def refused(name):
    """The changes that are refused here and not by torch."""
    import torch

    from ops.test_ops_torch import mapped, reference, theirs

    def allowed(sample, change):
        def call(leaf):
            args = convert(mapped(sample.args), leaf)
            return reference(name)(*args, **convert(mapped(sample.kwargs), leaf))

        try:
            gradients(theirs, call, torch.Tensor, change)
        except (RuntimeError, LookupError):
            return False
        return True

    return [
        f"sample {n}, {kind} {i}"
        for n, sample, (kind, i), found in outcomes(name)
        if found is None and allowed(sample, (kind, i))
    ]


# What is refused here though the torch twin of the case goes on: the twins are composed of other
# ops than the functions of torch's that they stand for, which refuse these changes too.
STRICTER = {
    "scaled_elu": "operand 0",  # torch's elu
    "nn.squared_error": "operand 0, operand 1",  # torch's mse_loss; the twin is a subtraction
    "nll_loss": "operand 1",  # labels: the twin copies them
    "cross_entropy": "operand 1",  # the same, where labels are an image
    "binary_cross_entropy_with_logits": "operand 1",  # the twin takes logarithms of sigmoids
    "nn.lstm_sequence": "operand 1",  # the recurrent weight: the twin sorts its gates into a copy
    "nn.gru_sequence": "operand 1",
}


@pytest.mark.needs_torch
def test_what_is_stricter_than_the_twins_is_not_stricter_than_torch():
    import torch
    from torch.nn import functional as F

    x = torch.rand(3, 4, 2, dtype=torch.float64).requires_grad_()
    labels, weight = torch.tensor([[0, 1], [2, 0], [1, 3]]), torch.rand(4, dtype=torch.float64)
    lstm, gru = (kind(2, 3, dtype=torch.float64) for kind in (torch.nn.LSTM, torch.nn.GRU))
    for call, changed in (
        (lambda a: lstm(a)[0], lstm.weight_hh_l0),
        (lambda a: gru(a)[0], gru.weight_hh_l0),
        (lambda a: F.elu(a), None),
        (lambda a: F.mse_loss(a, other), None),
        (lambda a: F.mse_loss(a, other), other := x.detach().clone()),
        (lambda a: F.nll_loss(a, labels, weight), labels),
        (lambda a: F.cross_entropy(a, labels, weight), labels),
        (lambda a: F.binary_cross_entropy_with_logits(a, target), target := x.detach().clone()),
    ):
        made = x.clone()
        out = call(made).sum()
        (made if changed is None else changed).detach().zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


@pytest.mark.parametrize("name", NAMES)
def test_a_change_in_place_never_changes_a_gradient(name):
    assert silent(name) == []


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [n for n in NAMES if CASES[n].torch is not False])
def test_only_what_torch_refuses_is_refused(name):
    allowed = STRICTER.get(name, "").split(", ")
    assert [x for x in refused(name) if x.partition(", ")[2] not in allowed] == []
