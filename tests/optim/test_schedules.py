"""Learning rate schedules: their laws here, equality with torch where marked."""

from __future__ import annotations

import json
import math
import warnings

import pytest

import tallow as tl
from tallow import optim
from tallow.errors import TallowError
from tallow.optim import lr_scheduler as ours


def tallow_optimizer(kind="SGD", **options):
    ps = [tl.ones(2).requires_grad_() for _ in range(2)]
    options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {}), **options}
    return getattr(optim, kind)([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.5}], **options)


def torch_optimizer(kind="SGD", **options):
    import torch

    ps = [torch.ones(2, requires_grad=True) for _ in range(2)]
    options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {}), **options}
    groups = [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.5}]
    return getattr(torch.optim, kind)(groups, **options)


class Half:
    def __call__(self, epoch):
        return 0.5 ** (epoch / 10)


# name → how to make it from the module and an optimiser
MAKE = {
    "step": lambda m, o: m.StepLR(o, 7, 0.3),
    "multistep": lambda m, o: m.MultiStepLR(o, [5, 20, 20, 60], 0.5),
    "constant": lambda m, o: m.ConstantLR(o, 0.25, 12),
    "linear": lambda m, o: m.LinearLR(o, 0.1, 0.8, 30),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.93),
    "polynomial": lambda m, o: m.PolynomialLR(o, 40, 2.0),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 13, 0.01),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "restarts_equal": lambda m, o: m.CosineAnnealingWarmRestarts(o, 9),
    "onecycle": lambda m, o: m.OneCycleLR(o, [0.3, 0.9], 100),
    "onecycle_three": lambda m, o: m.OneCycleLR(
        o, 0.4, epochs=10, steps_per_epoch=10, anneal_strategy="linear", three_phase=True
    ),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, 0.2, 8),
    "cyclic2": lambda m, o: m.CyclicLR(o, 0.01, [0.2, 0.3], 8, 5, mode="triangular2"),
    "cyclic_exp": lambda m, o: m.CyclicLR(o, 0.01, 0.2, 8, mode="exp_range", gamma=0.98),
    "cyclic_fn": lambda m, o: m.CyclicLR(
        o, 0.01, 0.2, 8, scale_fn=lambda x: 1 / x, cycle_momentum=False
    ),
    "lambda": lambda m, o: m.LambdaLR(o, [lambda e: 0.95**e, Half()]),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda e: 0.97),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, 1.0, 10), m.CosineAnnealingLR(o, 50), m.ExponentialLR(o, 0.9)],
        [10, 60],
    ),
    "sequential_restarts": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 8), m.CosineAnnealingWarmRestarts(o, 6)], [8]
    ),
    "chained": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, 0.1, 10), m.ExponentialLR(o, 0.9), m.StepLR(o, 4, 0.9)]
    ),
    "nested": lambda m, o: m.SequentialLR(
        o,
        [m.ChainedScheduler([m.LinearLR(o, 0.5, 1.0, 5), m.ExponentialLR(o, 0.99)]),
         m.PolynomialLR(o, 30)],
        [20],
    ),
}  # fmt: skip


def sequence(module, optimizer, make, steps=99):
    scheduler = make(module, optimizer)
    found = []
    for step in range(steps + 1):
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        moments = [group.get("momentum", group.get("betas", (0,))) for group in
                   optimizer.param_groups]  # fmt: skip
        found.append(rates + [m[0] if isinstance(m, tuple) else m for m in moments])
        assert scheduler.get_last_lr() == pytest.approx(rates, abs=0)
        optimizer.step()
        if step < steps:
            scheduler.step()
    return found


@pytest.mark.needs_torch
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", MAKE)
def test_rates_equal_torch(name, kind):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sequence(torch.optim.lr_scheduler, torch_optimizer(kind), MAKE[name])
    own = sequence(ours, tallow_optimizer(kind), MAKE[name])
    for epoch, (a, b) in enumerate(zip(own, theirs, strict=True)):
        assert a == pytest.approx(b, rel=1e-11, abs=1e-15), epoch


@pytest.mark.needs_torch
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_equals_torch(mode, threshold_mode):
    import torch

    options = {"mode": mode, "factor": 0.5, "patience": 3, "threshold": 0.01, "cooldown": 2,
               "threshold_mode": threshold_mode, "min_lr": [0.001, 0.0]}  # fmt: skip
    a, b = tallow_optimizer(), torch_optimizer()
    mine = ours.ReduceLROnPlateau(a, **options)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(b, **options)
    for epoch in range(100):
        metric = math.sin(epoch / 9) + epoch / 80 - 0.3
        mine.step(metric)
        peer.step(metric)
        assert mine.get_last_lr() == pytest.approx(peer.get_last_lr(), rel=1e-12)
    assert mine.get_last_lr()[0] < 0.1


@pytest.mark.parametrize("name", MAKE)
def test_state_goes_on(name):
    """After 37 epochs, saved through JSON and loaded into a fresh one, the sequence goes on."""
    whole = sequence(ours, tallow_optimizer(), MAKE[name], 80)
    optimizer = tallow_optimizer()
    scheduler = MAKE[name](ours, optimizer)
    for _ in range(37):
        optimizer.step()
        scheduler.step()
    state = json.loads(json.dumps(scheduler.state_dict()))
    saved = json.loads(json.dumps(optimizer.state_dict()["param_groups"]))
    again = tallow_optimizer()
    other = MAKE[name](ours, again)
    other.load_state_dict(state)
    again.load_state_dict({"state": {}, "param_groups": saved})
    for epoch in range(37, 81):
        assert [group["lr"] for group in again.param_groups] == whole[epoch][:2]
        again.step()
        other.step()


def test_warmup_cosine():
    optimizer = tallow_optimizer()
    scheduler = ours.WarmupCosineLR(optimizer, 10, 60, 0.1)
    found = []
    for _ in range(80):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert found[:10] == pytest.approx([0.1 * (i + 1) / 10 for i in range(10)])
    assert found[35] == pytest.approx(0.1 * (0.1 + 0.9 * 0.5))
    assert found[60:] == pytest.approx([0.01] * 20)
    assert found[9:] == sorted(found[9:], reverse=True)


def test_stepping_first_is_warned_of():
    scheduler = ours.StepLR(tallow_optimizer(), 3)
    with pytest.warns(UserWarning, match="optimizer.step"):
        scheduler.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda o: ours.StepLR(o, 0),
        lambda o: ours.ConstantLR(o, 1.5),
        lambda o: ours.LinearLR(o, 0.0),
        lambda o: ours.CosineAnnealingWarmRestarts(o, 0),
        lambda o: ours.OneCycleLR(o, 0.1),
        lambda o: ours.OneCycleLR(o, 0.1, 10, anneal_strategy="x"),
        lambda o: ours.OneCycleLR(o, [0.1], 10),
        lambda o: ours.CyclicLR(o, 0.1, 0.2, mode="x"),
        lambda o: ours.LambdaLR(o, [lambda e: e]),
        lambda o: ours.LambdaLR(o, 3),
        lambda o: ours.SequentialLR(o, [], []),
        lambda o: ours.SequentialLR(o, [ours.StepLR(o, 1)], [3]),
        lambda o: ours.SequentialLR(o, [ours.StepLR(tallow_optimizer(), 1)], []),
        lambda o: ours.ChainedScheduler([ours.ReduceLROnPlateau(o)]),
        lambda o: ours.ReduceLROnPlateau(o, factor=1.0),
        lambda o: ours.ReduceLROnPlateau(o, mode="up"),
        lambda o: ours.StepLR("optimizer", 3),
        lambda o: ours.StepLR(o, 3).load_state_dict({}),
        lambda o: ours.StepLR(o, 3).load_state_dict({"last_epoch": 1, "base_lrs": "x"}),
        lambda o: ours.StepLR(o, 3).load_state_dict({"last_epoch": 1, "gamma": "x"}),
        lambda o: ours.CyclicLR(optim.Adagrad([tl.ones(1).requires_grad_()]), 0.1, 0.2),
        lambda o: ours.WarmupCosineLR(o, 10, 5),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(TallowError):
        make(tallow_optimizer())


def test_one_cycle_ends():
    optimizer = tallow_optimizer()
    scheduler = ours.OneCycleLR(optimizer, 0.1, 3)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    with pytest.raises(TallowError, match="3 steps"):
        scheduler.step()


def test_resuming_needs_the_initial_rate():
    with pytest.raises(KeyError, match="initial_lr"):
        ours.StepLR(tallow_optimizer(), 3, last_epoch=5)
