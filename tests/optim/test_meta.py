"""Optimisers on `meta`: a step keeps shapes and counts, and computes nothing."""

import pytest

import tallow as tl
from tallow import nn, optim
from tallow.errors import DeviceError

NAMES = (
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Lion",
    "Rprop", "ASGD",
)  # fmt: skip


def stepped(name, device, **options):
    tl.manual_seed(0)
    model = nn.Linear(3, 4, device=device)
    optimizer = getattr(optim, name)(model.parameters(), lr=0.1, **options)
    for _ in range(2):
        model(tl.ones(2, 3, device=device)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def facts(optimizer):
    return [
        {k: (v.shape, v.dtype, v.stride()) if isinstance(v, tl.Tensor) else v for k, v in s.items()}
        for s in optimizer.state.values()
    ]


def devices(optimizer):
    state = [v for s in optimizer.state.values() for v in s.values()]
    return {v.device.type for v in state if isinstance(v, tl.Tensor)}


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in NAMES]
    + [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RMSprop", {"centered": True})],
)
def test_states_are_the_cpus(name, options):
    _, wanted = stepped(name, "cpu", **options)
    model, got = stepped(name, "meta", **options)
    assert facts(got) == facts(wanted)
    assert devices(got) == ({"meta"} if devices(wanted) else set())
    assert all(p.is_meta for p in model.parameters())


def test_states_follow_their_parameters_not_the_default():
    with tl.device("meta"):
        _, optimizer = stepped("Adam", "cpu")
    assert devices(optimizer) == {"cpu"}


@pytest.mark.parametrize("name", ["Adafactor", "LBFGS"])
def test_steps_that_need_values_say_so(name):
    model = nn.Linear(3, 4, device="meta")
    optimizer = getattr(optim, name)(model.parameters())

    def loss():
        optimizer.zero_grad()
        out = model(tl.ones(2, 3, device="meta")).sum()
        out.backward()
        return out

    with pytest.raises(DeviceError, match="expected a tensor with values, got one on meta"):
        optimizer.step(loss)
