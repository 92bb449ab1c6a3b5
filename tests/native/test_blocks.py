"""Block formats: dequantise bit-equal to the gguf package, `linear` against numpy in float64."""

import ml_dtypes
import numpy as np
import pytest

from native.blocks import BLOCKS, GOLDENS, PEERLESS, golden, random_blocks, rounded
from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
FLOAT_ONLY = ("f8e4m3_128",)  # no small integers: `int8` multiplies them in floats as well


def test_every_block_dtype_is_here():
    found = {name: (block, size) for name, size, block, kind in _native.DTYPES if kind == "q"}
    assert found == BLOCKS


@pytest.fixture(scope="session")
def reference():
    """`reference(name, data)`: the rows of bytes as floats, by the gguf package."""
    gguf = pytest.importorskip("gguf")
    return lambda name, data: gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name.upper()])


def as_blocks(data, name, k):
    return _native.Array.from_buffer(data, CODES[name], (len(data), k), 0)


def unpacked(call, name, data, dtype=np.float32):
    block, size = BLOCKS[name]
    k = data.shape[1] // size * block
    out = np.full((len(data), k), 9, dtype)
    call("dequantize", out, as_blocks(data, name, k))
    return out


def same_bits(got, want):
    """Equal to the last bit, the sign of zero included; all NaNs are one."""
    nan = np.isnan(want)
    assert np.array_equal(nan, np.isnan(got))
    got, want = got.copy(), want.copy()
    got[nan] = want[nan] = 0
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


# --- dequantise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - PEERLESS))
@pytest.mark.parametrize("blocks", [1, 3, 20])
def test_dequantize_is_gguf_s(call, rng, reference, name, blocks):
    data = random_blocks(rng, name, 7, blocks)
    want = reference(name, data)
    same_bits(unpacked(call, name, data), want)
    np.testing.assert_array_equal(unpacked(call, name, data, np.float16), want.astype(np.float16))


@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - PEERLESS))
def test_dequantize_of_any_bytes_is_gguf_s(call, rng, reference, name):
    """Infinite and NaN scales too: what the file says, and no crash."""
    data = rng.integers(0, 256, (200, BLOCKS[name][1]), np.uint8)
    with np.errstate(all="ignore"):
        want = reference(name, data)
    same_bits(unpacked(call, name, data), want)


@pytest.mark.parametrize("name", sorted(GOLDENS))
def test_dequantize_is_ggml_s(call, name):
    """What gguf's quantiser or unpacker lacks, as llama.cpp's own library gave it."""
    data, want = golden(name)
    same_bits(unpacked(call, name, data), want)


def test_dequantize_of_q8_1(call, rng):
    data = random_blocks(rng, "q8_1", 3, 4)
    rows = data.reshape(3, 4, 36)
    scale = rows[..., :2].copy().view(np.float16).astype(np.float32)
    same_bits(unpacked(call, "q8_1", data), (scale * rows[..., 4:].view(np.int8)).reshape(3, -1))


def test_dequantize_of_f8e4m3_128(call, rng):
    data = random_blocks(rng, "f8e4m3_128", 3, 2)
    data[0, 4:132] = np.arange(128)
    data[1, 4:132] = np.arange(128, 256)
    rows = data.reshape(3, 2, 132)
    scale = rows[..., :4].copy().view(np.float32)
    floats = rows[..., 4:].view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    same_bits(unpacked(call, "f8e4m3_128", data), (scale * floats).reshape(3, -1))


# --- linear ---------------------------------------------------------------------------------------


def wide(x):
    return np.asarray(x, np.float64)


def close_to_sum(got, a, b, rtol, bias=0):
    """`got` = a @ b within `rtol` of the sizes that were added up."""
    size = np.abs(wide(a)) @ np.abs(wide(b)) + np.abs(bias)
    worst = np.abs(wide(got) - (wide(a) @ wide(b) + bias)) - rtol * size - 1e-7
    assert worst.size == 0 or worst.max() <= 0


def seen(x, name, exact):
    """The activations as the kernel sees them."""
    return x if exact or name in FLOAT_ONLY else rounded(x)


@pytest.mark.parametrize("exact", [0, 1], ids=["fast", "exact"])
@pytest.mark.parametrize("name", BLOCKS)
def test_linear(call, rng, name, exact):
    block = BLOCKS[name][0]
    for m, n, blocks, bias in [
        (1, 1, 1, False),
        (1, 37, 5, True),
        (2, 9, 3, True),
        (3, 33, 1, False),
        (4, 6, 2, True),
        (5, 8, 3, False),
        (7, 41, 2, True),
        (33, 19, 1, True),
        (261, 33, 2, False),
    ]:
        k = block * blocks
        data = random_blocks(rng, name, n, blocks)
        weight = unpacked(call, name, data)
        x = rng.normal(size=(m, k + 5)).astype(np.float32)[:, :k]
        b = rng.normal(size=n).astype(np.float32) if bias else None
        out = np.full((m, n), 9, np.float32)
        call("linear", out, x, as_blocks(data, name, k), b, exact)
        close_to_sum(out, seen(x, name, exact), weight.T, 1e-5, b if bias else 0)


@pytest.mark.parametrize("exact", [0, 1], ids=["fast", "exact"])
@pytest.mark.parametrize("half", ["f16", "bf16"])
@pytest.mark.parametrize("name", BLOCKS)
def test_linear_in_halves_with_leading_axes(call, rng, name, half, exact):
    dtype = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}[half]
    rtol = {"f16": 1.1e-3, "bf16": 8.5e-3}[half]
    k, n = BLOCKS[name][0], 17
    data = random_blocks(rng, name, n, 1)
    weight = unpacked(call, name, data)
    for shape in [(k,), (2, 1, k), (3, 4, k)]:
        x = rng.normal(size=shape).astype(dtype)
        bias = rng.normal(size=n).astype(dtype)
        out = np.zeros((*shape[:-1], n), dtype)
        call("linear", out, x, as_blocks(data, name, k), bias, exact)
        rows = wide(x).reshape(-1, k)
        seen_rows = seen(rows.astype(np.float32), name, exact)
        close_to_sum(out.reshape(-1, n), seen_rows, weight.T, rtol, wide(bias))


@pytest.mark.parametrize("name", BLOCKS)
def test_fast_linear_at_the_ends_of_the_range(call, name):
    """Bytes of all zeros and all ones against activations of full size: no 16-bit sum overflows."""
    block, size = BLOCKS[name]
    for fill in (0x00, 0xFF, 0x80, 0x7F, 0xF0, 0x0F):
        data = np.full((8, size), fill, np.uint8)
        random_blocks(np.random.default_rng(1), name, 8, 1, data)
        weight = unpacked(call, name, data)
        for m in (1, 9):
            for signs in (1, -1, np.where(np.arange(block) % 2, 1, -1), np.sign(weight[0] + 1e-30)):
                x = np.ones((m, block), np.float32) * np.asarray(signs, np.float32)
                out = np.full((m, 8), 9, np.float32)
                call("linear", out, x, as_blocks(data, name, block), None, 0)
                close_to_sum(out, seen(x, name, 0), weight.T, 1e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_fast_linear_keeps_zero_and_nan(call, rng, name):
    block = BLOCKS[name][0]
    data = random_blocks(rng, name, 8, 1)
    x = np.zeros((6, block), np.float32)
    x[1, block - 1] = np.nan
    for rows in (x, x[:2]):
        out = np.full((len(rows), 8), 9, np.float32)
        call("linear", out, rows, as_blocks(data, name, block), None, 0)
        assert np.isnan(out[1]).all()
        assert not out[[i for i in range(len(rows)) if i != 1]].any()


@pytest.mark.parametrize("name", ["f8e4m3", "f8e5m2"])
@pytest.mark.parametrize("m", [1, 2, 4, 9])
def test_linear_on_plain_8_bit_floats(call, rng, name, m):
    """All 256 bytes that are finite, rows apart and transposed, whatever the activations' mode."""
    kind = {"f8e4m3": ml_dtypes.float8_e4m3fn, "f8e5m2": ml_dtypes.float8_e5m2}[name]
    every = np.arange(256, dtype=np.uint8)
    finite = every[np.isfinite(every.view(kind).astype(np.float32))]
    n, k = 19, 301
    data = rng.choice(finite, (n, k))
    weight = wide(data.view(kind).astype(np.float32))
    x = rng.normal(size=(m, k)).astype(np.float32)
    bias = rng.normal(size=n).astype(np.float32)
    for bytes_ in (data, np.asfortranarray(data)):
        array = _native.Array.from_strided(bytes_).reinterpret(CODES[name])
        for exact in (0, 1):
            out = np.full((m, n), 9, np.float32)
            call("linear", out, x, array, bias, exact)
            close_to_sum(out, x, weight.T, 1e-5, bias)


@pytest.mark.parametrize("name", BLOCKS)
def test_embedding_rows_are_the_dequantized_ones(call, rng, name):
    data = random_blocks(rng, name, 6, 2)
    weight = unpacked(call, name, data)
    ids = np.array([[5, 0], [3, 3]], np.int64)
    out = np.zeros((2, 2, weight.shape[1]), np.float32)
    call("embedding", out, ids, as_blocks(data, name, weight.shape[1]))
    same_bits(out, weight[ids])
