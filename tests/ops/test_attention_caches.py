"""Keys and values in f16, bf16 and q8_0: what is written is rounded once, and read exactly."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow import ops
from tallow.errors import ArgumentError

DTYPES = ["f16", "bf16", "q8_0"]


def bits(x):
    return x.to(tl.f32).numpy().view(np.uint32)


def drawn(*shape, seed=0):
    return tl.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def cached(x, dtype):
    """The cache that `x` was written into, from place 1 on."""
    b, h, n, d = x.shape
    cache = [tl.zeros(b, h, n + 3, d, dtype=dtype) for _ in range(2)]
    ops.kv_write(*cache, x, x.clone(), tl.tensor([1] * b))
    assert (bits(cache[0]) == bits(cache[1])).all()
    assert not bits(cache[0])[:, :, [0, n + 1, n + 2]].any()
    return cache[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["f32", "f16", "bf16", "f64"])
def test_writing_rounds_as_a_cast(dtype, source):
    x = drawn(2, 3, 9, 64).to(source)
    for given in (x, x.transpose(0, 1), x[:, :, ::2], tl.cat([x, x], -1)[..., ::2]):
        got = cached(given, dtype).narrow(2, 1, given.shape[2])
        assert (bits(got) == bits(given.contiguous().to(tl.f32).to(dtype))).all()


def test_blocks_move_as_they_are():
    x = drawn(2, 3, 9, 64).to(tl.q8_0)
    assert (bits(cached(x, tl.q8_0).narrow(2, 1, 9)) == bits(x)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_seen(value):
    x = drawn(1, 1, 2, 64).numpy().copy()
    x[0, 0, 1, 40] = value
    got = cached(tl.tensor(x), tl.q8_0).narrow(2, 1, 2).to(tl.f32).numpy()
    assert np.isfinite(got[0, 0, 0]).all() and np.isfinite(got[0, 0, 1, :32]).all()
    assert np.isnan(got[0, 0, 1, 32:]).all()


SHAPES = [(1, 1, 1), (1, 700, 3), (1, 300, 1), (2, 70, 2), (5, 300, 8), (13, 64, 4), (70, 333, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [32, 64, 96, 256])
@pytest.mark.parametrize(("n", "m", "group"), SHAPES)
def test_attention_reads_them_exactly(dtype, size, n, m, group):
    """To the last bit what it gives of the same numbers in f32."""
    q = drawn(2, 2 * group, n, size, seed=1)
    k, v = (drawn(2, 2, m, size, seed=seed).to(dtype) for seed in (2, 3))
    start = tl.tensor([m - n, (m - n) // 2])
    for window, cap in ((0, 0.0), (7, 0.0), (0, 5.0)):
        options = {"start": start, "causal": True, "window": window, "softcap": cap}
        got = ops.attention(q, k, v, **options)
        wanted = ops.attention(q, k.to(tl.f32), v.to(tl.f32), **options)
        assert (bits(got) == bits(wanted)).all()


@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("dtypes", [("q8_0", "f16"), ("f32", "q8_0"), ("q8_0", "q8_0")])
def test_masks_views_and_two_dtypes(n, dtypes):
    """Keys and values of different dtypes and sizes, in rows that do not lie side by side."""
    q = drawn(2, 6, n, 64, seed=1)
    k, v = (
        drawn(2, 80, 3, size, seed=size).to(d) for size, d in zip((64, 32), dtypes, strict=True)
    )
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    mask = tl.tensor(np.random.default_rng(4).random((2, 1, n, 80)) < 0.6)
    got = ops.attention(q, k, v, mask=mask)
    wanted = ops.attention(q, k.to(tl.f32), v.to(tl.f32), mask=mask)
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=0, atol=2e-6)


STEPS = {"f16": 2.0**-11, "bf16": 2.0**-8, "q8_0": 1 / 254 + 2.0**-11}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 40])
def test_the_error_is_that_of_rounding(dtype, n):
    """A key is off by e (of its block's largest), so a score by e |q|, a weight by exp(2 e |q|)."""
    q, k, v = drawn(1, 4, n, 64, seed=1), drawn(1, 2, 200, 64, seed=2), drawn(1, 2, 200, 64, seed=3)
    wanted = ops.attention(q, k, v, causal=False).numpy()
    got = ops.attention(q, k.to(dtype), v.to(dtype), causal=False).numpy()
    largest = float(k.abs().max()), float(v.abs().max())
    score = float(q.abs().sum(-1).max()) / 8 * STEPS[dtype] * largest[0]
    bound = largest[1] * (STEPS[dtype] + np.expm1(2 * score))
    error = np.abs(got - wanted).max()
    assert 0 < error <= bound


def test_the_gradient_of_the_queries():
    q = drawn(1, 4, 3, 32, seed=1).requires_grad_()
    k, v = drawn(1, 2, 9, 32, seed=2).to(tl.q8_0), drawn(1, 2, 9, 32, seed=3).to(tl.q8_0)
    ops.attention(q, k, v).square().sum().backward()
    got, q.grad = q.grad, None
    ops.attention(q, k.to(tl.f32), v.to(tl.f32)).square().sum().backward()
    np.testing.assert_allclose(got.numpy(), q.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_other_dtypes_are_refused_by_name():
    x, start = drawn(1, 1, 2, 64), tl.tensor([0])
    for dtype in ("q4_0", "i8"):
        cache = tl.empty(1, 1, 4, 64, dtype=dtype)
        with pytest.raises(ArgumentError, match=f"f32, f16, bf16 or q8_0, got {dtype}"):
            ops.kv_write(cache, cache.clone(), x, x, start)
    with pytest.raises(ArgumentError, match="q8_0 keys and values.*got q4_0"):
        ops.attention(x, x.to(tl.q4_0), x, start=start)


def test_zeros_of_blocks():
    assert not bits(tl.zeros(2, 64, dtype=tl.q8_0)).any()
    assert tl.full((2, 64), 0.0, dtype=tl.q4_0).nbytes == 2 * 36
    with pytest.raises(ArgumentError, match="expected 0 to fill blocks of q8_0 with"):
        tl.full((2, 64), 1.0, dtype=tl.q8_0)


def test_blocks_as_bytes_and_back():
    x = drawn(2, 5, 64).to(tl.q8_0)
    seen = x.view(tl.u8)
    assert (seen.dtype, tuple(seen.shape)) == (tl.u8, (2, 5, 68))
    assert (bits(seen.view(tl.q8_0)) == bits(x)).all()
    part = x.narrow(1, 1, 3)
    assert (bits(part.view("u8").clone().view("q8_0")) == bits(part)).all()
    with pytest.raises(tl.errors.ShapeError, match="whole blocks of q8_0"):
        tl.zeros(3, 35, dtype=tl.u8).view(tl.q8_0)
    with pytest.raises(tl.errors.DTypeError, match="u8 beside a block dtype"):
        x.view(tl.f32)


@pytest.mark.parametrize("n", [1, 3])
def test_threads_share_a_long_context_and_change_no_bit(n):
    """20 heads of keys are cut into parts for eight threads, and are not for one."""
    q, k, v = drawn(2, 20, n, 64, seed=1), drawn(2, 10, 1100, 64, seed=2), drawn(2, 10, 1100, 64)
    before, found = tl.num_threads(), []
    try:
        for threads in (1, 8):
            tl.set_num_threads(threads)
            found.append(
                bits(ops.attention(q, k, v, start=tl.tensor([1099 - n, 700]), causal=True))
            )
    finally:
        tl.set_num_threads(before)
    assert (found[0] == found[1]).all()
