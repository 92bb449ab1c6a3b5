"""A part of the positions of hidden states."""

from __future__ import annotations

from tallow.tensor import Tensor


def last_positions(hidden: Tensor, count: int) -> Tensor:
    """The last `count` of the positions `(batch, n, …)`; 0, or more than there are, are all."""
    n = hidden.shape[1]
    return hidden.narrow(1, n - count, count) if 0 < count < n else hidden
