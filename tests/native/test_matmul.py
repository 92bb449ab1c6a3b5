"""Linear, matmul, dequantise and quantise against numpy in float64 and the gguf package."""

import numpy as np
import pytest

from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
BLOCKS = {
    "q4_0": (32, 18),
    "q4_1": (32, 20),
    "q5_0": (32, 22),
    "q5_1": (32, 24),
    "q8_0": (32, 34),
} | {
    "q4_k": (256, 144),
    "q6_k": (256, 210),
}
# Where the f16 scales stand in a block; all other bytes may be anything.
HALVES = {name: [0] for name in BLOCKS} | {
    "q4_1": [0, 2],
    "q5_1": [0, 2],
    "q4_k": [0, 2],
    "q6_k": [208],
}


@pytest.fixture(scope="session")
def quants():
    """gguf's own numpy code; `quants(name)` is the format's number."""
    gguf = pytest.importorskip("gguf")
    return lambda name: (gguf.quants, gguf.GGMLQuantizationType[name.upper()])


def random_blocks(rng, name, n, k):
    """Any bytes, with scales of a sane size, one row of bytes per row of weights."""
    block, size = BLOCKS[name]
    data = rng.integers(0, 256, (n, k // block, size), np.uint8)
    for at in HALVES[name]:
        data[..., at : at + 2] = (
            rng.normal(0, 0.02, (n, k // block, 1)).astype(np.float16).view(np.uint8)
        )
    return data.reshape(n, -1)


def as_blocks(data, name, k):
    return _native.Array.from_buffer(data, CODES[name], (len(data), k), 0)


def wide(x):
    return np.asarray(x, np.float64)


def dequantized(call, name, data, k, dtype=np.float32):
    out = np.full((len(data), k), 9, dtype)
    call("dequantize", out, as_blocks(data, name, k))
    return out


def rounded(x):
    """`x` as the fast kernels see it: blocks of 32, each rounded to int8 by its own scale."""
    blocks = np.asarray(x, np.float32).reshape(len(x), -1, 32)
    peak = np.abs(blocks).max(-1, keepdims=True)
    inverse = np.divide(np.float32(127), peak, out=np.zeros_like(peak), where=peak > 0)
    return (np.rint(blocks * inverse) * wide(peak / np.float32(127))).reshape(x.shape)


def close_to_sum(got, a, b, rtol, bias=0):
    """`got` = a @ b within `rtol` of the sizes that were added up."""
    size = np.abs(wide(a)) @ np.abs(wide(b)) + np.abs(bias)
    worst = np.abs(wide(got) - (wide(a) @ wide(b) + bias)) - rtol * size - 1e-7
    assert worst.size == 0 or worst.max() <= 0


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("blocks", [1, 3, 40])
def test_dequantize_is_gguf_s(call, rng, quants, name, blocks):
    k = blocks * BLOCKS[name][0]
    data = random_blocks(rng, name, 7, k)
    module, number = quants(name)
    want = module.dequantize(data, number)
    np.testing.assert_array_equal(
        dequantized(call, name, data, k).view(np.uint32), want.view(np.uint32)
    )
    np.testing.assert_array_equal(
        dequantized(call, name, data, k, np.float16), want.astype(np.float16)
    )


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_quantize_is_gguf_s(call, rng, quants, name):
    x = (rng.normal(size=(50, 320)) * rng.choice([1e-3, 1, 30], (50, 1))).astype(np.float32)
    x[3, 32:64] = 0
    x[4] = np.rint(x[4])
    x[5, :32] = np.arange(32) - 16
    module, number = quants(name)
    want = module.quantize(x, number)
    out = np.zeros(want.shape, np.uint8)
    _native.call("quantize", as_blocks(out, name, 320), _native.Array.from_strided(x), None)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("exact", [0, 1], ids=["fast", "exact"])
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 17, 130])
def test_linear_on_blocks(call, rng, name, m, exact):
    for n, blocks in [(1, 1), (9, 3), (33, 19), (64, 2)]:
        k = blocks * BLOCKS[name][0]
        data = random_blocks(rng, name, n, k)
        weight = dequantized(call, name, data, k)
        x = rng.normal(size=(m, k + 5)).astype(np.float32)[:, :k]
        bias = rng.normal(size=n).astype(np.float32)
        for b in (None, bias):
            out = np.full((m, n), 9, np.float32)
            call("linear", out, x, as_blocks(data, name, k), b, exact)
            close_to_sum(out, x if exact else rounded(x), weight.T, 1e-5, 0 if b is None else b)


@pytest.mark.parametrize("m", [1, 3, 4, 6, 70])
def test_linear_on_floats(call, dtype, rtol, rng, m):
    for n, k in [(1, 1), (17, 0), (40, 33), (16, 300)]:
        x, weight, bias = (rng.normal(size=s).astype(dtype) for s in [(m, k), (n, k), n])
        for view in (weight, np.asfortranarray(weight)):
            out = np.full((m, n), 9, dtype)
            call("linear", out, x, view, bias, 1)
            close_to_sum(out, x, weight.T, max(rtol, 1e-13), wide(bias))


@pytest.mark.parametrize("name", ["q4_1", "q8_0"])
def test_fast_linear_keeps_zero_and_nan(call, rng, name):
    data = random_blocks(rng, name, 8, 64)
    x = np.zeros((6, 64), np.float32)
    x[1, 40] = np.nan
    for rows in (x, x[:2]):
        out = np.full((len(rows), 8), 9, np.float32)
        call("linear", out, rows, as_blocks(data, name, 64), None, 0)
        assert np.isnan(out[1]).all()
        assert not out[[i for i in range(len(rows)) if i != 1]].any()


SHAPES = [
    ((3, 4), (4, 5)),
    ((1, 300), (300, 20)),
    ((20, 70), (70, 1)),
    ((2, 3, 7, 9), (2, 3, 9, 8)),
    ((0, 4), (4, 3)),
    ((5, 0), (0, 3)),
    ((4, 1, 6, 10), (1, 3, 10, 17)),
    ((7, 33, 12), (12, 19)),
    ((130, 65), (65, 48)),
    ((2, 0, 3, 4), (1, 4, 5)),
]


@pytest.mark.parametrize("flip", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_matmul(call, dtype, rtol, rng, layouts, left, right, flip):
    a, b = rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    for _, a_view in layouts(a):
        for _, b_view in layouts(b):
            m, n = left[-2], right[-1]
            out = (
                np.full((*batch, n, m), 9, dtype).swapaxes(-1, -2)
                if flip
                else np.full((*batch, m, n), 9, dtype)
            )
            views = (np.broadcast_to(v, (*batch, *v.shape[-2:])) for v in (a_view, b_view))
            call("matmul", out, *views)
            close_to_sum(out, a, b, rtol)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int32, np.int64])
def test_matmul_of_integers_wraps(call, rng, kind):
    a, b = (rng.integers(-100, 100, s).astype(kind) for s in [(2, 5, 7), (2, 7, 3)])
    out = np.zeros((2, 5, 3), kind)
    call("matmul", out, a, b)
    np.testing.assert_array_equal(out, a @ b)


def test_results_do_not_depend_on_the_number_of_threads(call, rng):
    data = random_blocks(rng, "q4_1", 192, 576)
    before = _native.num_threads()
    try:
        for m in (1, 3, 40):
            x, seen = rng.normal(size=(m, 576)).astype(np.float32), []
            for threads in (1, 2, 7):
                _native.set_num_threads(threads)
                out = np.zeros((m, 192), np.float32)
                call("linear", out, x, as_blocks(data, "q4_1", 576), None, 0)
                seen.append(out)
            assert all((out == seen[0]).all() for out in seen)
    finally:
        _native.set_num_threads(before)
