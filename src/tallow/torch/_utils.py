"""torch._utils: small helpers that programs reach for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tallow import ops
from tallow.tensor import Tensor


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """All elements as one vector."""
    return ops.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The vector in pieces of these shapes."""
    out, at = [], 0
    for t in tensors:
        out.append(flat[at : at + t.numel()].reshape(t.shape))
        at += t.numel()
    return tuple(out)


def _accumulate(iterable: Iterable[Any]) -> Iterable[Any]:
    """Sums so far."""
    from itertools import accumulate

    return accumulate(iterable)
