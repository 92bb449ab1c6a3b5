"""Lengths of sequences in a batch, which an operator refuses beyond the steps that there are."""

from __future__ import annotations

from tallow import _native, ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor


def sequence_lengths(where: str, lengths: Tensor, steps: int, batch: int) -> Tensor:
    """`sequence_lens` in i64; ArgumentError where one is below 0 or above `steps`."""
    fits = lengths.shape == (batch,)
    expect(fits, where, f"sequence_lens of shape ({batch},)", lengths.shape)
    if lengths.device.type == "meta":
        return lengths.to(i64)
    if _native.capturing():  # a plan cannot read them, but has a kernel that refuses indices
        table = ops.arange(steps + 1, dtype=f32, device=lengths.device)
        return ops.embedding(lengths.to(i64), table.unsqueeze(1)).squeeze(1).to(i64)
    for at, length in enumerate(lengths.tolist()):
        if not 0 <= length <= steps:
            text = f"sequence_lens from 0 to {steps}, the steps of the input"
            expect(False, where, text, f"{length} for sequence {at}", ArgumentError)
    return lengths.to(i64)
