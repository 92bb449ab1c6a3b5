"""Training does not grow: memory after 10,000 steps of a tiny net is what it was after 1,000."""

from __future__ import annotations

import gc

import pytest

import tallow as tl
from alone import resident, run_alone
from tallow import _native, data, nn, optim
from tallow.nn import functional as F


@pytest.mark.slow
def test_ten_thousand_steps():
    # In a process of its own: what other tests left in this one comes and goes meanwhile.
    run_alone(__file__)


def train():
    tl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = optim.AdamW(model.parameters())
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    dataset = data.TensorDataset(tl.randn(1000, 8), tl.randint(0, 4, (1000,)))
    step, before, objects, used = 0, 0, 0, 0
    while step < 10_000:
        for x, y in data.DataLoader(dataset, 20, shuffle=True, num_workers=step % 2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            step += 1
        if step == 1000:
            gc.collect()
            before, objects, used = resident(), len(gc.get_objects()), _native.pool_stats()[0]
    gc.collect()
    assert len(gc.get_objects()) < objects + 500
    assert _native.pool_stats()[0] <= used + 4096
    assert resident() < before + (4 << 20)


if __name__ == "__main__":
    train()
