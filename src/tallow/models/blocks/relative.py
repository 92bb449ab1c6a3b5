"""Biases by the distance of two positions: buckets of distances, and rows as a matrix."""

from __future__ import annotations

import math

from tallow.factories import tensor
from tallow.models.blocks.heads import as_mask
from tallow.ops import where
from tallow.tensor import Tensor


def bucket(distance: int, count: int, furthest: int, *, causal: bool = False) -> int:
    """The bucket, of `count`, of `key - query`; the later half is for keys behind the query.

    Where `causal` there are none behind it: those would have the bucket of its own position. Near
    distances have a bucket each, those up to `furthest` share by logarithm, as in T5
    (arXiv 1910.10683).
    """
    half = count if causal else count // 2
    first = half if distance > 0 and not causal else 0
    away, exact = max(-distance, 0) if causal else abs(distance), half // 2
    if away < exact:
        return first + away
    far = math.log(away / exact) / math.log(furthest / exact) * (half - exact)
    return first + min(exact + int(far + 1e-9), half - 1)


def buckets(count: int, furthest: int, *, causal: bool = False) -> Tensor:
    """The buckets of the distances `-furthest` to `furthest`, beyond which they are the same."""
    every = range(-furthest, furthest + 1)
    return tensor([bucket(each, count, furthest, causal=causal) for each in every])


def by_distance(table: Tensor, n: int) -> Tensor:
    """`out[..., i, j] = table[..., j - i]`, `(..., n, n)`, of distances from `1 - n` to `n - 1`.

    A view of the table `(..., 2 n - 1)`.
    """
    return table.unfold(-1, n, 1).flip(-2)


def hidden(bias: Tensor, mask: Tensor | None) -> Tensor:
    """The additive `bias` where `mask`, as of `as_mask`, keeps a key."""
    return bias if mask is None else where(as_mask(mask), bias, -math.inf)


def relative_shift(scores: Tensor) -> Tensor:
    """`out[..., i, j] = scores[..., i, n - 1 - i + j]`, `(..., n, n)`; a view of contiguous ones.

    Column `k` of `scores` `(..., n, 2 n - 1)` is for the distance `j - i = k - (n - 1)`.
    """
    n = scores.shape[-2]
    if n < 2:
        return scores
    flat = scores.flatten(-2).narrow(-1, n - 1, n * (2 * n - 2))
    return flat.reshape(*scores.shape[:-1], 2 * n - 2).narrow(-1, 0, n)
