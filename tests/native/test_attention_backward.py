"""The gradients of attention against those of the textbook formula in float64."""

import numpy as np
import pytest


def weights(s, keep):
    s = np.where(keep, s, -np.inf)
    top = s.max(-1, keepdims=True, initial=-np.inf)
    p = np.exp(s - np.where(np.isinf(top), 0, top))
    total = p.sum(-1, keepdims=True)
    return p / np.where(total == 0, 1, total)


def expected(g, q, k, v, start, mask, scale, causal, window, cap):
    """The gradients of q, k and v, one head after another."""
    g, q, k, v = (x.astype(np.float64) for x in (g, q, k, v))
    (batch, heads, n, _), (kv_heads, m) = q.shape, k.shape[1:3]
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for b, h in np.ndindex(batch, heads):
        c = h // (heads // kv_heads)
        begin, length = (0, m) if start is None else (start[b], start[b] + n)
        s = q[b, h] @ k[b, c].T * scale
        slope = np.ones_like(s)
        if cap:
            slope = 1 - np.tanh(s / cap) ** 2
            s = cap * np.tanh(s / cap)
        i, j = np.arange(n)[:, None] + begin, np.arange(m)
        keep = np.broadcast_to(j < length, s.shape)
        if causal:
            keep = keep & (j <= i)
        if window:
            keep = keep & (j > i - window)
        if mask is not None:
            row = np.broadcast_to(mask, (batch, heads, n, m))[b, h]
            keep, s = (keep & row, s) if row.dtype == bool else (keep, s + row)
        p = weights(s, keep)
        dp = g[b, h] @ v[b, c].T
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * slope * scale
        dq[b, h] = ds @ k[b, c]
        dk[b, c] += ds.T @ q[b, h]
        dv[b, c] += p.T @ g[b, h]
    return dq, dk, dv


def check(
    call, rng, *, n, m, group=1, kv_heads=2, d=16, dv=None, causal=1, window=0, cap=0.0, start=None,
    mask=None, dtype=np.float32, turned=False,
):  # fmt: skip
    batch, heads, dv = 2, group * kv_heads, dv or d
    shapes = [(heads, n, d), (kv_heads, m, d), (kv_heads, m, dv), (heads, n, dv)]
    q, k, v, g = (rng.normal(size=(batch, *s)).astype(dtype) for s in shapes)
    if turned:  # (batch, n, heads, d) in memory, as models have it
        q, k, v, g = (
            np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
            for x in (q, k, v, g)
        )
    scale = d**-0.5
    want = expected(g, q, k, v, start, mask, scale, causal, window, cap)
    out = np.float64 if dtype == np.float64 else np.float32
    got = [np.full(x.shape, 9, out) for x in (q, k, v)]
    call("attention_backward", *got, g, q, k, v, start, mask, scale, causal, window, cap)
    largest = max(1.0, *(np.abs(x).max() for x in want))
    for one, right in zip(got, want, strict=True):
        limit = (1e-12 if out == np.float64 else 4e-6) * largest
        np.testing.assert_allclose(one, right, rtol=0, atol=limit)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 70), (5, 5), (13, 40), (70, 70), (100, 333)])
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("causal", [0, 1])
def test_lengths_and_groups(call, rng, n, m, group, cached, causal):
    start = np.array([m - n, (m - n) // 3]) if cached else None
    check(call, rng, n=n, m=m, group=group, start=start, causal=causal)


@pytest.mark.parametrize(("d", "dv"), [(4, 4), (20, 7), (33, 40), (64, 64), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_sizes_and_dtypes(call, rng, d, dv, dtype):
    check(call, rng, n=37, m=50, d=d, dv=dv, dtype=dtype, turned=True)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("kind", ["window", "bool", "added", "row", "cap", "all"])
def test_what_is_hidden(call, rng, causal, kind):
    n, m, both = 60, 130, kind == "all"
    mask = {
        "bool": rng.random((2, 1, n, m)) < 0.6,
        "added": rng.normal(size=(1, 4, n, m)).astype(np.float32),
        "row": rng.normal(size=(2, 1, 1, m)).astype(np.float32),
        "all": rng.random((1, 4, n, 1)) < 0.8,  # some queries see nothing
    }.get(kind)
    check(
        call, rng, n=n, m=m, group=2, causal=causal, mask=mask,
        window=9 if kind == "window" or both else 0,
        cap=2.0 if kind == "cap" or both else 0.0,
        start=np.array([70, 11]) if both else None,
    )  # fmt: skip


def test_the_number_of_threads_changes_nothing(call, rng):
    from tallow import _native

    before = _native.num_threads()
    x = rng.normal(size=(1, 2, 300, 32)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        _native.set_num_threads(threads)
        results.append([np.zeros_like(x) for _ in range(3)])
        call("attention_backward", *results[-1], x, x, x, x, None, None, 0.2, 1, 0, 0.0)
    _native.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_refusals(call):
    x = np.ones((1, 2, 3, 4), np.float32)
    rest = (None, None, 1.0, 0, 0, 0.0)
    with pytest.raises(Exception, match="gradients like"):
        call("attention_backward", x.copy(), x.copy(), x.copy(), x[:, :1], x, x, x, *rest)
    at, y = np.array([1]), x.astype(np.float64)
    with pytest.raises(Exception, match="do not fit into"):
        call("attention_backward", *[x.copy() for _ in range(3)], x, x, x, x, at, *rest[1:])
    with pytest.raises(Exception, match="no code for f64"):
        call("attention_backward", *[x.copy() for _ in range(3)], x, x, y, x, *rest)
