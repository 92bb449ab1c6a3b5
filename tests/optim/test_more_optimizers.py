"""LBFGS, Rprop, ASGD and Adafactor: torch's numbers, and their states saved and loaded."""

import importlib

import pytest

import tallow as tl
from tallow.errors import ArgumentError, DTypeError

WEIGHTS = ([[0.5, -1.0, 0.25], [1.5, 0.75, -0.5]], [0.1, -0.2, 0.3])
INPUTS = [[1.0, -0.5], [0.25, 2.0], [-1.5, 0.5], [0.75, 1.25]]
TARGETS = [[0.5, 0.0, -0.5], [1.0, -1.0, 0.25], [-0.25, 0.5, 0.0], [0.0, 0.75, 1.0]]
CASES = [
    ("LBFGS", {}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 5}),
    ("LBFGS", {"lr": 0.1, "history_size": 3}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.3), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"t0": 3, "weight_decay": 0.1, "lambd": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"weight_decay": 0.1, "lr": 0.1, "d": 1.5}),
]


def train(library, name, options, steps, dtype, resume=False):
    params = [library.tensor(w, dtype=dtype, requires_grad=True) for w in WEIGHTS]
    x, y = (library.tensor(v, dtype=dtype) for v in (INPUTS, TARGETS))
    make = getattr(library.optim, name)
    optimizer = make(params, **options)

    def closure():
        optimizer.zero_grad()
        out = library.tanh(x @ params[0] + params[1])
        loss = ((out - y) ** 2).mean() + (params[0] ** 4).sum() * 0.1
        loss.backward()
        return loss

    losses = []
    for step in range(steps):
        if resume and step == steps // 2:
            state, optimizer = optimizer.state_dict(), make(params, **options)
            optimizer.load_state_dict(state)
        losses.append(float(optimizer.step(closure).detach()))
    return [p.detach().flatten().tolist() for p in params], losses


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # torch's own LBFGS
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_steps_equal_torch(name, options):
    torch = importlib.import_module("torch")
    expected, _ = train(torch, name, options, 10, torch.float64)
    got, _ = train(tl, name, options, 10, tl.f64)
    for a, b in zip(got, expected, strict=True):
        assert a == pytest.approx(b, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_loss_falls_and_states_resume(name, options):
    whole, losses = train(tl, name, options, 6, tl.f64)
    resumed, _ = train(tl, name, options, 6, tl.f64, resume=True)
    assert whole == resumed
    assert (losses[-1] > losses[0]) is bool(options.get("maximize"))


def test_wrong_arguments():
    p = tl.zeros(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="a line search of"):
        tl.optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(ArgumentError, match="one group of parameters"):
        tl.optim.LBFGS([{"params": [p]}, {"params": [tl.zeros(1, requires_grad=True)]}])
    with pytest.raises(DTypeError, match="expected a closure"):
        tl.optim.LBFGS([p]).step()
    with pytest.raises(ArgumentError, match="etas"):
        tl.optim.Rprop([p], etas=(1.5, 1.2))
