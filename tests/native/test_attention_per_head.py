"""Attention with sinks, slopes and pieces of the text: by the formula, and row by row."""

import numpy as np
import pytest

from native.test_attention import reference


def wanted(q, k, v, start, scale, causal, window, cap, sinks, slopes, chunk):
    """The same by a mask, and a further key of a value of 0 for each head."""
    (batch, heads, n, _), m = q.shape, k.shape[2]
    first = np.zeros(batch, int) if start is None else start
    at = first[:, None, None, None] + np.arange(n)[:, None]
    apart = np.arange(m) - at
    added = np.zeros((batch, heads, n, m)) if slopes is None else apart * slopes[:, None, None]
    if chunk:
        added = np.where(np.arange(m) // chunk == at // chunk, added, -np.inf)
    hidden = np.zeros((batch, 1, n, m), bool)
    if causal:
        hidden |= apart > 0
    if window:
        hidden |= apart <= -window
    if start is not None:
        hidden |= np.arange(m) >= first[:, None, None, None] + n
    added = np.where(hidden, -np.inf, added)
    if sinks is None:
        return reference(q, k, v, None, added, scale, 0, 0, cap)
    groups = heads // k.shape[1]
    k, v = (np.repeat(x, groups, 1) for x in (k, v))
    more = [np.concatenate([x, np.zeros_like(x[:, :, :1])], 2) for x in (k, v)]
    column = np.broadcast_to(sinks[:, None, None], (batch, heads, n, 1))
    return reference(q, *more, None, np.concatenate([added, column], 3), scale, 0, 0, cap)


def attend(call, q, k, v, start, causal, window, cap, sinks, slopes, chunk):
    out = np.full((*q.shape[:3], v.shape[3]), 9, np.float32)
    how = (0.3, causal, window, cap, sinks, slopes, chunk)
    call("attention_per_head", out, q, k, v, start, None, *how)
    return out


@pytest.mark.parametrize("chunk", [0, 7, 90])
@pytest.mark.parametrize(("sinks", "slopes"), [(1, 0), (0, 1), (1, 1), (0, 0)])
@pytest.mark.parametrize(
    ("n", "m", "start", "causal", "window", "cap"),
    [
        (1, 9, (3, 8), 1, 0, 0.0),
        (1, 900, (600, 899), 1, 0, 0.0),
        (5, 40, None, 0, 0, 2.0),
        (40, 40, None, 1, 6, 0.0),
        (70, 300, (100, 200), 1, 0, 3.0),
    ],
)
def test_per_head(call, rng, n, m, start, causal, window, cap, sinks, slopes, chunk):
    q = rng.normal(size=(2, 4, n, 16)).astype(np.float32)
    k, v = (rng.normal(size=(2, 2, m, 16)).astype(np.float32) for _ in range(2))
    start = None if start is None else np.array(start, np.int64)
    sinks = np.array([0.5, -3.0, 30.0, 0.0], np.float32) if sinks else None
    slopes = np.array([0.5, 0.1, 0.0, 0.03], np.float32) if slopes else None
    how = (causal, window, cap, sinks, slopes, chunk)
    want = wanted(q, k, v, start, 0.3, *how)
    if start is not None:
        for b in range(2):  # the unwritten part of a cache holds anything
            k[b, :, start[b] + n :] = np.nan
            v[b, :, start[b] + n :] = np.nan
    got = attend(call, q, k, v, start, *how)
    np.testing.assert_allclose(got, want, rtol=0, atol=5e-6)
    if start is not None:  # a row gets the same, whatever stands beside it
        last = np.array([start[1] + n - 1])
        alone = attend(call, q[1:, :, -1:], k[1:], v[1:], last, *how)
        np.testing.assert_array_equal(alone, got[1:, :, -1:])


def test_a_sink_alone_gives_zeros(call, rng):
    q = rng.normal(size=(1, 2, 3, 8)).astype(np.float32)
    out = np.full_like(q, 9)
    mask = np.zeros((1, 1, 3, 3), bool)
    sinks = np.array([0.0, 5.0], np.float32)
    call("attention_per_head", out, q, q, q, None, mask, 0.3, 0, 0, 0.0, sinks, None, 0)
    np.testing.assert_array_equal(out, np.zeros_like(q))


@pytest.mark.parametrize("bad", [np.zeros(3, np.float32), np.zeros(2), np.zeros((2, 1), "f4")])
def test_what_does_not_fit(call, rng, bad):
    q = rng.normal(size=(1, 2, 3, 8)).astype(np.float32)
    for pair in ((bad, None), (None, bad)):
        with pytest.raises(Exception, match="sinks and slopes"):
            call("attention_per_head", q.copy(), q, q, q, None, None, 0.3, 0, 0, 0.0, *pair, 0)
    with pytest.raises(Exception, match="chunk of at least 0"):
        call("attention_per_head", q.copy(), q, q, q, None, None, 0.3, 0, 0, 0.0, None, None, -1)
