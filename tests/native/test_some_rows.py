"""Products of some rows (weights read as they lie) give each row what it gets alone."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.ops import linear


@pytest.mark.parametrize("k", [1, 7, 255, 256, 257, 384, 520, 1024])
@pytest.mark.parametrize("n", [1, 5, 6, 13, 40])
def test_a_row_is_what_it_is_alone(k, n):
    tl.manual_seed(k * 100 + n)
    x, w, b = tl.randn(163, k), tl.randn(n, k), tl.randn(n)
    alone = np.concatenate([linear(x[i : i + 1], w, b).numpy() for i in range(163)])
    for m in (5, 8, 9, 16, 17, 33, 64, 65, 160, 161, 163):
        assert np.array_equal(linear(x[:m], w, b).numpy(), alone[:m]), m
    want = x.numpy().astype(np.float64) @ w.numpy().T.astype(np.float64) + b.numpy()
    np.testing.assert_allclose(alone, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [tl.f16, tl.bf16])
def test_halves_of_activations(dtype):
    x, w = tl.randn(20, 300).to(dtype), tl.randn(9, 300)
    want = linear(x.to(tl.f32), w)
    found = linear(x, w)
    assert np.array_equal(found.to(tl.f32).numpy(), want.to(found.dtype).to(tl.f32).numpy())


def test_strided_rows_and_results():
    x, w = tl.randn(20, 2, 300)[:, 1], tl.randn(18, 300)[::2]
    want = linear(x.contiguous(), w.contiguous())
    assert np.array_equal(linear(x, w).numpy(), want.numpy())
    columns = tl.randn(300, 20).t()
    assert np.array_equal(linear(columns, w).numpy(), linear(columns.contiguous(), w).numpy())


@pytest.mark.parametrize("dtype", [tl.f32, tl.f16])
@pytest.mark.parametrize("k", [5, 255, 300, 520, 1111])
@pytest.mark.parametrize("m", [200, 203, 389])
def test_many_neighbouring_rows(m, k, dtype):
    x, w = tl.randn(k, m).to(dtype).t(), tl.randn(21, k).to(dtype)
    for rows in (x, x[1:], x[:, 1:]):
        weight = w[:, : rows.shape[1]]
        want = linear(rows.contiguous(), weight)
        assert np.array_equal(linear(rows, weight).numpy(), want.numpy())
