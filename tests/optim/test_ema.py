"""Averages of weights: EMA by its formula, AveragedModel beside torch's."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow import nn, optim
from tallow.errors import TallowError
from tallow.optim import swa_utils


def test_ema_follows_its_formula():
    p = tl.tensor([1.0, 2.0]).requires_grad_()
    half = tl.tensor([4.0], dtype="bf16").requires_grad_()
    ema = optim.EMA([p, half], decay=0.9)
    want = 1.0
    for step in range(10):
        with tl.no_grad():
            p.fill_(float(step))
        ema.update()
        want = 0.9 * want + 0.1 * step
    assert ema.averages[0][0].item() == pytest.approx(want, rel=1e-5)
    assert ema.averages[1].dtype is tl.f32
    with ema.applied():
        assert p[0].item() == pytest.approx(want, rel=1e-5)
    assert p.tolist() == [9.0, 9.0] and p.requires_grad
    with pytest.raises(ZeroDivisionError), ema.applied():
        raise ZeroDivisionError
    assert p.tolist() == [9.0, 9.0]
    other = optim.EMA([p, half], decay=0.9)
    other.load_state_dict(ema.state_dict())
    assert other.updates == 10 and other.averages[0].tolist() == ema.averages[0].tolist()
    for bad in ({}, {"updates": 1, "averages": {0: tl.zeros(3), 1: tl.zeros(1)}},
                {"updates": "x", "averages": dict(enumerate(ema.averages))}):  # fmt: skip
        with pytest.raises(TallowError):
            other.load_state_dict(bad)
    with pytest.raises(TallowError):
        optim.EMA([p], decay=1.5)


def test_the_warm_up_forgets_the_first_weights():
    p = tl.tensor([0.0]).requires_grad_()
    ema = optim.EMA([p], decay=0.999, warmup=True)
    with tl.no_grad():
        p.fill_(1.0)
    for _ in range(50):
        ema.update()
    assert ema.averages[0].item() > 0.99


@pytest.mark.needs_torch
@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_model_equals_torch(decay, use_buffers):
    import torch

    def averaged(utils, model):
        multi = None if decay is None else utils.get_ema_multi_avg_fn(decay)
        return utils.AveragedModel(model, multi_avg_fn=multi, use_buffers=use_buffers)

    ours = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    mine = averaged(swa_utils, ours)
    peer = averaged(torch.optim.swa_utils, theirs)
    draw = torch.Generator().manual_seed(0)
    for _ in range(6):
        values = {
            name: torch.rand(value.shape, generator=draw)
            if value.is_floating_point()
            else value + 1
            for name, value in theirs.state_dict().items()
        }
        theirs.load_state_dict(values)
        ours.load_state_dict({n: tl.tensor(v.numpy()) for n, v in values.items()})
        mine.update_parameters(ours)
        peer.update_parameters(theirs)
    expected = peer.state_dict()
    found = mine.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if "batches" not in name:  # torch averages this count of steps, too
            flat = found[name].reshape(-1).tolist()
            assert flat == pytest.approx(value.reshape(-1).tolist(), rel=1e-5)
    x = torch.rand(4, 3, generator=draw)
    mine.eval(), peer.eval()
    close = mine(tl.tensor(x.numpy())).tolist()
    for row, other in zip(close, peer(x).tolist(), strict=True):
        assert row == pytest.approx(other, rel=1e-4)
