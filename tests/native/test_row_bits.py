"""A row's result has the same bits whatever rows stand beside it, by any kernel."""

import numpy as np
import pytest

from native.blocks import BLOCKS, random_blocks
from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 100)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    before = _native.num_threads()
    _native.set_num_threads(request.param)
    yield request.param
    _native.set_num_threads(before)


def bits(x):
    return x.view(f"u{x.itemsize}")


def block_weight(rng, name, n, blocks):
    data = random_blocks(rng, name, n, blocks)
    return _native.Array.from_buffer(data, CODES[name], (n, blocks * BLOCKS[name][0]), 0)


def check_rows(call, x, weight, bias, exact):
    """Any run of rows alone gives what it gives among all of them."""
    n = weight.shape[0]

    def product(rows):
        out = np.full((len(rows), n), 9, x.dtype)
        call("linear", out, rows, weight, bias, exact)
        return out

    whole = product(x)
    for count in ROWS:
        for first in (0, len(x) - count):
            alone = product(x[first : first + count])
            np.testing.assert_array_equal(bits(alone), bits(whole[first : first + count]))


@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - {"f8e4m3_128"}))
def test_rows_of_rounded_activations(call, rng, threads, name):
    for n, blocks in [(1, 1), (9, 3), (37, 11)]:
        weight = block_weight(rng, name, n, blocks)
        x = rng.normal(size=(130, weight.shape[1])).astype(np.float32)
        x[5] = 0
        check_rows(call, x, weight, rng.normal(size=n).astype(np.float32), 0)
    check_rows(call, x.astype(np.float16), weight, None, 0)


def test_rows_of_the_largest_rounded_activations(call, threads):
    """Weights of -128 and 127, and rows that round to 127 and -127: sums at their limits."""
    blocks = np.zeros((9, 3, 34), np.uint8)
    blocks[..., :2] = np.array([1], np.float16).view(np.uint8)
    signs = np.where(np.arange(9 * 96).reshape(9, 3, 32) % 5 < 2, 127, -128)
    signs[0], signs[1] = -128, 127
    blocks[..., 2:] = signs.astype(np.int8).view(np.uint8)
    weight = _native.Array.from_buffer(blocks, CODES["q8_0"], (9, 96), 0)
    x = np.where(np.arange(130 * 96).reshape(130, 96) % 7 < 3, 1, -1).astype(np.float32)
    x[0], x[1] = 1, -1
    out = np.empty((130, 9), np.float32)
    call("linear", out, x, weight, None, 0)
    np.testing.assert_allclose(out, x @ signs.reshape(9, 96).T, rtol=1e-6, atol=1e-2)
    check_rows(call, x, weight, None, 0)


@pytest.mark.parametrize("rows", [1, 2, 4, 9])
@pytest.mark.parametrize("n", [5, 8, 17, 27])
def test_a_residual_in_the_place_of_the_result_is_added_once(call, rng, threads, n, rows):
    """Rows of weights that help to fill an eight are not written again."""
    weight = block_weight(rng, "q4_0", n, 3)
    x = rng.normal(size=(rows, weight.shape[1])).astype(np.float32)
    residual = rng.normal(size=(rows, n)).astype(np.float32)
    product, out = np.zeros((rows, n), np.float32), residual.copy()
    call("linear", product, x, weight, None, 0)
    call("linear_act", out, x, weight, None, out, 0, 0)
    np.testing.assert_array_equal(out, product + residual)


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_rows_of_float_activations_on_blocks(call, rng, threads, name):
    for n, blocks in [(1, 1), (9, 3), (37, 11)]:
        weight = block_weight(rng, name, n, blocks)
        x = rng.normal(size=(130, weight.shape[1])).astype(np.float32)
        check_rows(call, x, weight, rng.normal(size=n).astype(np.float32), 1)


# Depths of one run, of several, and with a part of a vector at the end of the last.
DEPTHS = (1, 7, 64, 255, 256, 300, 512, 577, 1111)


@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "f8e4m3", "f8e5m2"])
def test_rows_on_floats(call, rng, threads, name):
    for k in DEPTHS:
        n = 37
        drawn = rng.normal(size=(n, k)).astype(np.float32)
        if name.startswith("f8"):
            data = rng.integers(0, 120, (n, k)).astype(np.uint8)
        elif name == "bf16":
            data = np.ascontiguousarray(drawn.view(np.uint16)[:, 1::2])
        else:
            data = drawn.astype(name.replace("f", "float"))
        weight = _native.Array.from_buffer(data.view(np.uint8), CODES[name], (n, k), 0)
        x = rng.normal(size=(130, k)).astype(np.float32)
        check_rows(call, x, weight, rng.normal(size=n).astype(np.float32), 1)
    check_rows(call, x.astype(np.float16), weight, None, 1)


def test_rows_of_any_product(call, dtype, rng, threads):
    """Whatever the layouts and whichever side is the wide one."""
    for k in DEPTHS:
        a, b = (rng.normal(size=s).astype(dtype) for s in [(2, 50, k), (2, k, 21)])

        def product(a, b):
            out = np.full((*a.shape[:-1], b.shape[-1]), 9, a.dtype)
            call("matmul", out, a, b)
            return out

        whole = product(a, b)
        for right in (b, np.ascontiguousarray(b.swapaxes(1, 2)).swapaxes(1, 2)):
            np.testing.assert_array_equal(product(a, right), whole)
            for count in (1, 2, 4, 5, 20):
                alone = product(np.ascontiguousarray(a[1:, 7 : 7 + count]), right[1:])
                np.testing.assert_array_equal(alone, whole[1:, 7 : 7 + count])
            for count in (1, 3, 8):
                alone = product(a[:1], right[:1, :, 2 : 2 + count])
                np.testing.assert_array_equal(alone, whole[:1, :, 2 : 2 + count])


def test_rows_of_products_with_many_columns(call, dtype, rng, threads):
    """More columns than are added up at once; a right side that is one column more narrow."""
    for m, k, n in [(7, 300, 2 * 2048 + 5), (7, 2, 2049), (7, 9, 4096), (500, 300, 500)]:
        a, b = (rng.normal(size=s).astype(dtype) for s in [(m, k), (k, n)])

        def product(a, b):
            out = np.full((len(a), b.shape[1]), 9, a.dtype)
            call("matmul", out, a, b)
            return out

        whole = product(a, b)
        for count in (1, 3, 4):
            np.testing.assert_array_equal(
                bits(product(a[2 : 2 + count], b)), bits(whole[2 : 2 + count])
            )
            # rows of a that are no neighbours, and whose elements are not
            apart = np.repeat(a[:count], 2, 1)[:, ::2]
            np.testing.assert_array_equal(bits(product(apart, b)), bits(whole[:count]))
        np.testing.assert_array_equal(bits(product(a[:1], b[:, :-1])), bits(whole[:1, :-1]))


def attend(call, q, k, v, start, window=0, cap=0.0, mask=None, causal=1):
    out = np.full((*q.shape[:3], v.shape[3]), 9, q.dtype)
    start = None if start is None else np.array(start, np.int64)
    call("attention", out, q, k, v, start, mask, q.shape[3] ** -0.5, causal, window, cap)
    return out


# heads, kv heads, d, dv, queries: also more than one unit of queries
HEADS = [(6, 2, 64, 64, 70), (3, 3, 16, 16, 200), (9, 1, 20, 12, 70), (40, 20, 8, 8, 33)]


@pytest.mark.parametrize("cache", [np.float32, np.float16], ids=["f32", "f16"])
@pytest.mark.parametrize(
    ("window", "cap"), [(0, 0.0), (5, 0.0), (100, 0.0), (300, 0.0), (0, 3.0)], ids=str
)
@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_queries_of_attention(call, rng, heads, window, cap, cache):
    h, hk, d, dv, n = heads
    for before in (0, 63, 190, 700):
        capacity = before + n + 9  # the places behind the last key hold what is there
        q = rng.normal(size=(2, h, n, d)).astype(np.float32)
        k = rng.normal(size=(2, hk, capacity, d)).astype(cache)
        v = rng.normal(size=(2, hk, capacity, dv)).astype(cache)
        whole = attend(call, q, k, v, [before] * 2, window, cap)
        for count in (1, 2, 3, 4, 5, 7, 33):
            for first in (0, n // 2, n - count):
                rows = slice(first, first + count)
                alone = attend(call, q[1:, :, rows], k[1:], v[1:], [before + first], window, cap)
                np.testing.assert_array_equal(bits(alone), bits(whole[1:, :, rows]))


def test_attention_without_a_cache_and_with_masks(call, rng, threads):
    q, k, v = (rng.normal(size=(2, 4, 600, 32)).astype(np.float32) for _ in range(3))
    whole = attend(call, q, k, v, None)
    np.testing.assert_array_equal(whole, attend(call, q, k, v, [0, 0]))
    keep = rng.random((2, 1, 600, 600)) < 0.3
    keep[:, :, :, 256:512] &= rng.random((2, 1, 600, 1)) < 0.5  # rows that see no key of a part
    added = np.where(keep, rng.normal(size=keep.shape), -np.inf).astype(np.float32)
    for mask in (keep, added):
        whole = attend(call, q, k, v, None, mask=mask, causal=0)
        for first, count in [(0, 1), (17, 3), (599, 1), (300, 20)]:
            rows = slice(first, first + count)
            alone = attend(
                call, q[:1, :, rows], k[:1], v[:1], None, mask=mask[:1, :, rows], causal=0
            )
            np.testing.assert_array_equal(bits(alone), bits(whole[:1, :, rows]))


@pytest.mark.parametrize("k", [1, 7, 64, 255, 256, 300, 1100])
@pytest.mark.parametrize("n", [8, 15, 16, 17, 33, 64, 70])
def test_small_products_by_the_order_of_linear(call, rng, threads, n, k):
    """Any number of rows, any layout of the left side: the bits of a row alone, and no more."""
    weight = rng.normal(size=(k, n)).astype(np.float32)
    x = rng.normal(size=(37, k)).astype(np.float32)
    alone = np.full((37, n), 9, np.float32)
    for row in range(37):
        call("matmul", alone[row : row + 1], x[row : row + 1], weight)
    for m in (1, 5, 6, 7, 8, 9, 10, 13, 14, 32, 37):
        for a in (x[:m], np.asfortranarray(x[:m]), np.repeat(x[:m], 2, axis=1)[:, ::2]):
            space = np.full((m, n + 3), 9, np.float32)
            call("matmul", space[:, :n], a, weight)
            np.testing.assert_array_equal(bits(space[:, :n]), bits(alone[:m]))
            assert (space[:, n:] == 9).all()
    several = np.full((3, 12, n), 9, np.float32)
    call("matmul", several, x[:36].reshape(3, 12, k), np.broadcast_to(weight, (3, k, n)))
    np.testing.assert_array_equal(bits(several.reshape(36, n)), bits(alone[:36]))


@pytest.mark.parametrize("k", [255, 256, 300, 1100])
def test_rows_by_a_weight_of_one_row(call, rng, threads, k):
    weight, bias = rng.normal(size=(1, k)).astype(np.float32), np.array([0.5], np.float32)
    x = rng.normal(size=(130, k)).astype(np.float32)
    check_rows(call, x, weight, bias, 0)
    check_rows(call, x, weight, None, 0)
    out = np.full((130, 3), 9, np.float32)[:, 1:2]
    call("linear", out, x, weight, bias, 0)
    wanted = x.astype(np.float64) @ weight[0].astype(np.float64) + 0.5
    np.testing.assert_allclose(out[:, 0], wanted, rtol=1e-4, atol=1e-4)
    residual = rng.normal(size=(1, 130)).astype(np.float32).T
    call("linear_act", out, x, weight, bias, residual, 4, 0)
    np.testing.assert_allclose(
        out[:, 0], np.maximum(wanted, 0) + residual[:, 0], rtol=1e-4, atol=1e-4
    )
