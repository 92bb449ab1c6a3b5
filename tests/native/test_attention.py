"""Attention against the textbook formula in float64."""

import numpy as np
import pytest


def reference(q, k, v, start, mask, scale, causal, window, cap):
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    (batch, heads, n, _), (kv_heads, m) = q.shape, k.shape[1:3]
    out = np.zeros((batch, heads, n, v.shape[-1]))
    for b, h in np.ndindex(batch, heads):
        begin, length = (0, m) if start is None else (start[b], start[b] + n)
        s = q[b, h] @ k[b, h // (heads // kv_heads), :length].T * scale
        if cap:
            s = cap * np.tanh(s / cap)
        i, j = np.arange(n)[:, None] + begin, np.arange(length)
        keep = np.ones_like(s, bool)
        if causal:
            keep &= j <= i
        if window:
            keep &= j > i - window
        if mask is not None:
            row = np.broadcast_to(mask, (batch, heads, n, m))[b, h, :, :length]
            if row.dtype == bool:
                keep &= row
            else:
                s = s + row
        s = np.where(keep, s, -np.inf)
        top = s.max(-1, keepdims=True, initial=-np.inf)
        p = np.exp(s - np.where(np.isinf(top), 0, top))
        total = p.sum(-1, keepdims=True)
        out[b, h] = p / np.where(total == 0, 1, total) @ v[b, h // (heads // kv_heads), :length]
    return out


def check(
    call,
    rng,
    *,
    n,
    m,
    group=1,
    kv_heads=2,
    d=16,
    dv=None,
    start=None,
    mask=None,
    causal=1,
    window=0,
    cap=0.0,
    cache=np.float32,
    layout=lambda x: x,
):
    batch, heads, dv = 2, group * kv_heads, dv or d
    q = rng.normal(size=(batch, heads, n, d)).astype(np.float32)
    k = rng.normal(size=(batch, kv_heads, m, d)).astype(cache)
    v = rng.normal(size=(batch, kv_heads, m, dv)).astype(cache)
    scale = d**-0.5
    want = reference(q, k, v, start, mask, scale, causal, window, cap)
    if start is not None:
        for b in range(batch):  # the unwritten part of a cache holds anything
            k[b, :, start[b] + n :] = np.nan
            v[b, :, start[b] + n :] = np.nan
    out = np.full((batch, n, heads, dv), 9, np.float32).transpose(0, 2, 1, 3)
    call("attention", out, layout(q), layout(k), layout(v), start, mask, scale, causal, window, cap)
    np.testing.assert_allclose(out, want, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 70), (20, 300), (2, 1100)])
@pytest.mark.parametrize("causal", [0, 1, 2, 3])
def test_queries_without_keys_give_zeros_or_nan(call, rng, n, m, causal):
    q, k, v = (rng.normal(size=(1, 2, r, 16)).astype(np.float32) for r in (n, m, m))
    mask = rng.normal(size=(1, 1, n, m)).astype(np.float32)
    mask[..., 0, :] = -np.inf
    want = reference(q, k, v, None, mask, 0.25, causal & 1, 0, 0.0)
    want[:, :, 0] = np.nan if causal & 2 else 0
    out = np.full_like(q, 9)
    call("attention", out, q, k, v, None, mask, 0.25, causal, 0, 0.0)
    np.testing.assert_allclose(out, want, rtol=0, atol=3e-6)


def test_no_keys_at_all_give_zeros(call):
    q, k = np.ones((1, 2, 3, 8), np.float32), np.ones((1, 2, 0, 8), np.float32)
    out = np.full_like(q, 9)
    call("attention", out, q, k, k, None, None, 0.25, 2, 0, 0.0)
    assert not out.any()


LENGTHS = [(1, 1), (1, 70), (2, 300), (5, 5), (13, 40), (70, 70), (200, 333), (1, 1100), (20, 1500)]


@pytest.mark.parametrize(("n", "m"), LENGTHS)
@pytest.mark.parametrize("group", [1, 3, 8])
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("causal", [0, 1])
def test_lengths_and_groups(call, rng, n, m, group, cached, causal):
    start = np.array([m - n, (m - n) // 3]) if cached else None
    check(call, rng, n=n, m=m, group=group, start=start, causal=causal)


@pytest.mark.parametrize(
    ("d", "dv"), [(1, 1), (3, 5), (8, 24), (20, 20), (64, 64), (80, 33), (128, 128), (256, 256)]
)
@pytest.mark.parametrize(("n", "m"), [(1, 90), (50, 90)])
def test_head_sizes(call, rng, n, m, d, dv):
    check(call, rng, n=n, m=m, d=d, dv=dv, group=2, start=np.array([m - n, 0]))


@pytest.mark.parametrize("window", [1, 4, 64, 1000])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(("n", "m"), [(1, 90), (3, 600), (150, 400)])
def test_window(call, rng, n, m, window, causal):
    check(call, rng, n=n, m=m, window=window, causal=causal, start=np.array([m - n, 5]))


@pytest.mark.parametrize("cap", [0.0, 2.0, 30.0])
@pytest.mark.parametrize(
    "shape", [(2, 6, "n", "m"), (1, 1, 1, "m"), (1, 6, "n", "m"), (2, 1, 1, "m")], ids=str
)
@pytest.mark.parametrize("kind", [bool, np.float32, np.float16])
@pytest.mark.parametrize(("n", "m"), [(1, 90), (40, 90)])
def test_mask_and_cap(call, rng, n, m, shape, kind, cap):
    shape = [{"n": n, "m": m}.get(s, s) for s in shape]
    mask = rng.random(shape) < 0.6 if kind is bool else rng.normal(size=shape).astype(kind)
    check(call, rng, n=n, m=m, group=3, mask=mask, cap=cap, causal=0)


@pytest.mark.parametrize("n", [1, 40])
def test_rows_that_see_nothing_are_zero(call, rng, n):
    mask = np.zeros((2, 1, n, 90), np.float32)
    mask[0] = -np.inf
    check(call, rng, n=n, m=90, mask=mask, causal=0)
    mask = mask == 0
    check(call, rng, n=n, m=90, mask=mask, causal=0)


@pytest.mark.parametrize("cache", ["float16", "bfloat16"])
@pytest.mark.parametrize("n", [1, 4, 40])
@pytest.mark.parametrize("d", [64, 20])
def test_half_caches(call, rng, n, d, cache):
    import ml_dtypes

    dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[cache]
    check(call, rng, n=n, m=120, d=d, group=3, start=np.array([120 - n, 7]), cache=dtype)


LAYOUTS = {
    "heads inside": lambda x: np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3),
    "fortran": np.asfortranarray,
    "backwards": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [1, 4, 40])
def test_layouts(call, rng, n, layout):
    check(call, rng, n=n, m=70, group=2, layout=LAYOUTS[layout], start=np.array([70 - n, 0]))


def test_in_pieces_equals_one_pass(call, rng):
    q = rng.normal(size=(1, 6, 90, 32)).astype(np.float32)
    k, v = (rng.normal(size=(1, 2, 90, 32)).astype(np.float32) for _ in range(2))
    whole, pieces = np.empty_like(q), np.empty_like(q)
    call("attention", whole, q, k, v, None, None, 0.2, 1, 0, 0.0)
    at = 0
    for n in [1, 3, 60, 1, 25]:
        part = slice(at, at + n)
        call(
            "attention",
            pieces[:, :, part],
            q[:, :, part],
            k,
            v,
            np.array([at]),
            None,
            0.2,
            1,
            0,
            0.0,
        )
        at += n
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=2e-6)


def test_the_number_of_threads_changes_nothing(call, rng):
    from tallow import _native

    before = _native.num_threads()
    for n, m in [(1, 1500), (30, 1500), (300, 300)]:
        q = rng.normal(size=(1, 6, n, 32)).astype(np.float32)
        k, v = (rng.normal(size=(1, 2, m, 32)).astype(np.float32) for _ in range(2))
        results = []
        for threads in [1, 2, 3]:
            _native.set_num_threads(threads)
            results.append(np.empty_like(q))
            call("attention", results[-1], q, k, v, np.array([m - n]), None, 0.2, 1, 0, 0.0)
        _native.set_num_threads(before)
        np.testing.assert_equal(results[1], results[0])
        np.testing.assert_equal(results[2], results[0])


def test_empty(call):
    call(
        "attention",
        *(np.zeros((1, 2, n, 8), np.float32) for n in (0, 0, 5, 5)),
        None,
        None,
        1.0,
        1,
        0,
        0.0,
    )
    out = np.full((1, 2, 3, 8), 7, np.float32)
    call(
        "attention",
        out,
        out.copy(),
        *(np.zeros((1, 2, 0, 8), np.float32),) * 2,
        None,
        None,
        1.0,
        0,
        0,
        0.0,
    )
    assert (out == 0).all()


@pytest.mark.parametrize("start", [-1, 6, 2**62])
def test_refuses_a_start_beyond_the_cache(call, start):
    q, k = np.zeros((1, 2, 3, 8), np.float32), np.zeros((1, 1, 8, 8), np.float32)
    with pytest.raises(Exception, match="do not fit into 8 keys"):
        call("attention", q.copy(), q, k, k, np.array([start]), None, 1.0, 1, 0, 0.0)
