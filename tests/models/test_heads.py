"""Attention over projected queries, keys and values, by numpy."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ShapeError
from tallow.models.blocks.heads import attend

HEADS, KV_HEADS, DIM, N = 4, 2, 6, 5


def test_attend_is_the_definition():
    rng = np.random.default_rng(0)
    q = rng.normal(size=(2, N, HEADS * DIM)).astype(np.float32)
    k, v = rng.normal(size=(2, 2, N, KV_HEADS * DIM)).astype(np.float32)
    keep = np.array([[1] * N, [1, 1, 1, 1, 0]])
    given = [tl.tensor(a) for a in (q, k, v)]
    options = {"kv_heads": KV_HEADS, "causal": True, "window": 3}
    found = attend(*given, HEADS, mask=tl.tensor(keep), **options).numpy()
    behind = np.arange(N)[:, None] - np.arange(N)
    visible = (behind >= 0) & (behind < 3) & (keep[:, None] == 1)
    for head in range(HEADS):
        at, group = slice(head * DIM, (head + 1) * DIM), head // 2
        of = slice(group * DIM, (group + 1) * DIM)
        scores = np.where(visible, q[..., at] @ k[..., of].transpose(0, 2, 1) * DIM**-0.5, -np.inf)
        e = np.exp(scores - scores.max(-1, keepdims=True))
        wanted = e / e.sum(-1, keepdims=True) @ v[..., of]
        np.testing.assert_allclose(found[..., at], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match="2, 3 or 4 axes"):
        attend(*given, HEADS, mask=tl.tensor([True] * N))
