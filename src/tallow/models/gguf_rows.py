"""Rows of joined projections, which GGUF files and checkpoints have in other orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tallow.weights.arrange import TensorMap, WeightConverter, mapped

if TYPE_CHECKING:
    from tallow.tensor import Tensor


TensorRules = tuple[WeightConverter, ...]


def joined_rows(stored: str, visible: str, heads: int, kv_heads: int, groups: int) -> TensorRules:
    """Files hold all queries, then keys, then values; models `groups` of them.

    `stored` and `visible` are the stems of the weight and its bias. See `JoinedAttention`.
    """
    if groups == 1:
        return ()
    q, k = heads // groups, kv_heads // groups
    order: list[int] = []
    for group in range(groups):
        order += [group * q + i for i in range(q)]
        order += [heads + group * k + i for i in range(k)]
        order += [heads + kv_heads + group * k + i for i in range(k)]
    moved = moved_rows(order)
    return tuple(
        mapped(f"{stored}.{part}", f"{visible}.{part}", moved) for part in ("weight", "bias")
    )


# One row, of which some files hold the axis of length 1 and some do not; we write it without.
ROW = TensorMap(
    lambda x: x.reshape(1, -1),
    lambda x: x.reshape(-1),
    lambda shape: (1, math.prod(shape)),
    lambda shape: shape[1:],
)


def moved_rows(order: Sequence[int]) -> TensorMap:
    """A map that puts equal parts of the rows in another order, without reading values."""
    back = [0] * len(order)
    for place, index in enumerate(order):
        back[index] = place
    return TensorMap(partial(_taken, order), partial(_taken, back))


def _taken(order: Sequence[int], x: Tensor) -> Tensor:
    import numpy as np

    from tallow.borrowing import from_buffer
    from tallow.tensor import tobytes

    rows = np.frombuffer(tobytes(x), np.uint8).reshape(len(order), -1)
    return from_buffer(rows[list(order)].tobytes(), x.dtype, tuple(x.shape))
