"""Products with the experts that ids choose: equal to `linear` of each row alone, bit by bit."""

import numpy as np
import pytest

from native.blocks import BLOCKS, random_blocks
from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
EXPERTS = 5


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    before = _native.num_threads()
    _native.set_num_threads(request.param)
    yield request.param
    _native.set_num_threads(before)


def choices(rng, tokens, chosen):
    """No expert twice in a token, and nearly all tokens at one: many rows beside few."""
    ids = np.argsort(rng.random((tokens, EXPERTS)), axis=1)[:, :chosen]
    ids[:, 0] = np.where(rng.random(tokens) < 0.8, 1, ids[:, 0])
    return np.ascontiguousarray(ids.astype(np.int64))


def check(call, rng, weights, exact, *, tokens, chosen, own, dtype=np.float32):
    """`weights` are what `linear` takes, one an expert, behind what `expert_linear` takes."""
    whole, each = weights
    _, n, k = whole.shape
    x = rng.normal(size=(tokens, chosen, k) if own else (tokens, k)).astype(dtype)
    bias = rng.normal(size=(EXPERTS, n)).astype(np.float32)
    ids = choices(rng, tokens, chosen)
    out = np.full((tokens, chosen, n), 9, dtype)
    call("expert_linear", out, x, whole, ids, bias, exact)
    alone = np.full((1, n), 9, dtype)
    for t in range(0, tokens, 7):
        for c in range(chosen):
            row = np.ascontiguousarray(x[t, c] if own else x[t])[None]
            call("linear", alone, row, each[ids[t, c]], bias[ids[t, c]].copy(), exact)
            np.testing.assert_array_equal(out[t, c], alone[0])


def block_weights(rng, name, n, blocks):
    data = random_blocks(rng, name, EXPERTS * n, blocks)
    k = blocks * BLOCKS[name][0]
    whole = _native.Array.from_buffer(data, CODES[name], (EXPERTS, n, k), 0)
    parts = np.split(data.reshape(EXPERTS, -1), EXPERTS)
    return whole, [_native.Array.from_buffer(p.copy(), CODES[name], (n, k), 0) for p in parts]


@pytest.mark.parametrize("exact", [0, 1], ids=["int8", "float"])
@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - {"f8e4m3_128"}))
def test_blocks(call, rng, threads, name, exact):
    for n, blocks in [(1, 1), (37, 3)]:
        weights = block_weights(rng, name, n, blocks)
        for tokens, chosen, own in [(1, 3, False), (1, 1, True), (60, 2, False), (9, 3, True)]:
            check(call, rng, weights, exact, tokens=tokens, chosen=chosen, own=own)
    check(call, rng, weights, exact, tokens=9, chosen=2, own=False, dtype=np.float16)


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_floats(call, rng, threads, name):
    for n, k in [(5, 7), (37, 300), (20, 577)]:
        whole = rng.normal(size=(EXPERTS, n, k)).astype(name)
        for tokens, chosen, own in [(1, 3, False), (60, 2, False), (9, 3, True), (200, 1, True)]:
            check(call, rng, (whole, whole), 1, tokens=tokens, chosen=chosen, own=own)


def test_weights_that_are_transposed(call, rng, threads):
    whole = rng.normal(size=(EXPERTS, 300, 37)).astype(np.float32).transpose(0, 2, 1)
    for tokens, chosen, own in [(1, 3, False), (60, 2, True)]:
        check(call, rng, (whole, whole), 1, tokens=tokens, chosen=chosen, own=own)


def test_a_token_may_choose_an_expert_twice(call, rng):
    whole, each = block_weights(rng, "q4_0", 20, 2)
    x = rng.normal(size=(1, 64)).astype(np.float32)
    out, alone = np.full((1, 3, 20), 9, np.float32), np.full((1, 20), 9, np.float32)
    call("expert_linear", out, x, whole, np.array([[2, 2, 0]], np.int64), None, 0)
    for c, expert in enumerate((2, 2, 0)):
        call("linear", alone, x, each[expert], None, 0)
        np.testing.assert_array_equal(out[0, c], alone[0])


@pytest.mark.parametrize("wrong", [-1, EXPERTS, 2**62, -(2**63)])
def test_ids_of_no_expert_are_refused(call, rng, wrong):
    whole, _ = block_weights(rng, "q8_0", 8, 1)
    x, out = np.zeros((2, 32), np.float32), np.zeros((2, 2, 8), np.float32)
    ids = np.array([[0, 1], [wrong, 2]], np.int64)
    with pytest.raises(Exception, match="an id is not that of an expert"):
        call("expert_linear", out, x, whole, ids, None, 0)
    with pytest.raises(Exception, match="an id is not that of an expert"):
        call("expert_outer", np.zeros((EXPERTS, 8, 32), np.float32), out, x, ids)


def test_sums_of_outer_products(call, rng, threads):
    for tokens, chosen, own in [(3, 2, False), (70, 3, True), (1, 1, True)]:
        ids = choices(rng, tokens, chosen)
        g = rng.normal(size=(tokens, chosen, 9)).astype(np.float32)
        x = rng.normal(size=(tokens, chosen, 11) if own else (tokens, 11)).astype(np.float32)
        out = np.full((EXPERTS, 9, 11), 9, np.float32)
        call("expert_outer", out, g, x, ids)
        want = np.zeros(out.shape)
        for t, c in np.ndindex(*ids.shape):
            want[ids[t, c]] += np.outer(g[t, c], x[t, c] if own else x[t])
        np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-4)
