"""Every optimiser beside torch.optim's: 50 steps with the same gradients, in f64."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow import optim

pytestmark = pytest.mark.needs_torch

SHAPES = [(5, 7), (11,), (), (3, 2, 4)]
STEPS = 50

CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.8}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.8, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.01}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
]


@pytest.fixture(autouse=True)
def _doubles():
    """NAdam's product of momenta is f32 in torch unless this is the default dtype; ours is f64."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def twins(dtype, shapes=SHAPES, seed=0):
    """The same parameters for torch and for us."""
    import torch

    draw = np.random.default_rng(seed)
    values = [draw.standard_normal(shape).astype(dtype) for shape in shapes]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    ours = [tl.tensor(value).requires_grad_() for value in values]
    return draw, ours, theirs


def set_gradients(draw, ours, theirs, dtype, skip=()):
    import torch

    for i, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        if i in skip:
            own.grad = other.grad = None
            continue
        g = np.asarray(draw.standard_normal(own.shape)).astype(dtype)
        own.grad = tl.tensor(g)
        other.grad = torch.tensor(g)


def close(own, other, tolerance):
    own, other = own.detach().numpy(), other.detach().numpy()
    np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda x: str(x))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_equal_torch(name, options, dtype):
    import torch

    draw, ours, theirs = twins(dtype)
    mine = getattr(optim, name)(ours, **options)
    peer = getattr(torch.optim, name)(theirs, **options)
    for step in range(STEPS):
        # A parameter without a gradient is passed over, as in torch.
        set_gradients(draw, ours, theirs, dtype, skip=(1,) if step % 7 == 3 else ())
        mine.step()
        peer.step()
    for own, other in zip(ours, theirs, strict=True):
        close(own, other, 1e-12 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda x: str(x))
def test_state_travels_both_ways(name, options):
    import torch

    draw, ours, theirs = twins("float64")
    mine = getattr(optim, name)(ours, **options)
    peer = getattr(torch.optim, name)(theirs, **options)
    for _ in range(3):
        set_gradients(draw, ours, theirs, "float64")
        mine.step()
        peer.step()
    state = peer.state_dict()
    _, again, _ = twins("float64", seed=9)
    taken = getattr(optim, name)(again, lr=1.0)
    taken.load_state_dict(state)
    for own, other in zip(again, theirs, strict=True):
        own.data = tl.tensor(other.detach().numpy())
    given = mine.state_dict()
    for entries in given["state"].values():
        for key, value in entries.items():
            if isinstance(value, tl.Tensor):
                entries[key] = torch.tensor(value.numpy())
    _, _, third = twins("float64")
    for own, other in zip(third, ours, strict=True):
        own.data = torch.tensor(other.detach().numpy())
    back = getattr(torch.optim, name)(third, lr=1.0)
    back.load_state_dict(given)
    for _ in range(3):
        set_gradients(draw, ours, theirs, "float64")
        for a, b, own, other in zip(again, third, ours, theirs, strict=True):
            a.grad, b.grad = own.grad, other.grad
        for each in (mine, peer, taken, back):
            each.step()
    for a, b, own, other in zip(again, third, ours, theirs, strict=True):
        close(own, other, 1e-12)
        close(a, other, 1e-12)
        close(own, b, 1e-12)


def test_groups_and_a_rate_that_changes():
    import torch

    draw, ours, theirs = twins("float64")
    mine = optim.AdamW(
        [{"params": ours[:2], "lr": 0.1}, {"params": ours[2], "weight_decay": 0.0}], lr=0.01
    )
    peer = torch.optim.AdamW(
        [{"params": theirs[:2], "lr": 0.1}, {"params": theirs[2], "weight_decay": 0.0}], lr=0.01
    )
    mine.add_param_group({"params": ours[3:], "betas": (0.5, 0.6)})
    peer.add_param_group({"params": theirs[3:], "betas": (0.5, 0.6)})
    for step in range(20):
        set_gradients(draw, ours, theirs, "float64")
        for each in (mine, peer):
            each.param_groups[0]["lr"] = 0.1 / (step + 1)
            each.step()
    for own, other in zip(ours, theirs, strict=True):
        close(own, other, 1e-12)


@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_near_torch_whose_products_are_bf16(adjust, nesterov):
    import torch

    shapes = [(20, 12), (8, 30)]
    draw, ours, theirs = twins("float32", shapes)
    options = {"lr": 0.02, "adjust_lr_fn": adjust, "nesterov": nesterov}
    mine, peer = optim.Muon(ours, **options), torch.optim.Muon(theirs, **options)
    for _ in range(10):
        set_gradients(draw, ours, theirs, "float32")
        mine.step()
        peer.step()
    for own, other in zip(ours, theirs, strict=True):
        gap = np.abs(own.detach().numpy() - other.detach().numpy()).mean()
        assert gap < 0.02 * np.abs(other.detach().numpy()).mean()


def test_half_parameters_follow_f32_ones():
    import torch

    for dtype in (tl.bf16, tl.f16):
        draw, ours, theirs = twins("float32")
        ours = [p.detach().to(dtype).requires_grad_() for p in ours]
        for own, other in zip(ours, theirs, strict=True):
            other.data = torch.tensor(own.detach().float().numpy())
        mine = optim.AdamW(ours, lr=1e-4, master_weights=True)
        peer = torch.optim.AdamW(theirs, lr=1e-4)
        for _ in range(STEPS):
            for own, other in zip(ours, theirs, strict=True):
                g = tl.tensor(np.asarray(draw.standard_normal(own.shape), "f")).to(dtype)
                own.grad, other.grad = g, torch.tensor(g.float().numpy())
            mine.step()
            peer.step()
        for own, other in zip(ours, theirs, strict=True):
            close(mine.state[own]["master"], other, 1e-6)
            assert own.tolist() == mine.state[own]["master"].to(dtype).tolist()
