"""Losses of pairs refuse two bools in the words of their difference, as the other losses do."""

from __future__ import annotations

import pytest

import tallow as tl

F = tl.nn.functional


@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "mse_loss", "l1_loss"])
def test_two_bools_have_no_difference(name: str) -> None:
    x = tl.tensor([True, False])
    with pytest.raises(tl.errors.NoKernelError, match="sub: expected numbers, got bool"):
        getattr(F, name)(x, x)
    assert getattr(F, name)(x.float(), x).item() == 0
