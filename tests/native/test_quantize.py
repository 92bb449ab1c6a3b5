"""The kernel "quantize": ggml's own bytes where it is exact, and less error than ggml elsewhere."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from native.ggml import TYPES, Ggml
from native.quantize_data import importances, matrices, minilm, rmse, weights
from tallow import _native, hub
from tallow.errors import ArgumentError, NoKernelError

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
BLOCKS = {name: (size, block) for name, size, block, kind in _native.DTYPES if kind == "q"}
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "quantize_errors.json").read_text())
# Those that the gguf package can quantise too; and those whose scale needs no search.
GGUF = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq1_0", "tq2_0", "mxfp4")
EXACT = (*GGUF, *GOLDEN["blocks"])
# Activations, and floats whose steps grow with their size: no scale serves importances better.
INDIFFERENT = ("q8_k", "f8e4m3_128")
# Their scale is a float, or a power of two far beyond float16.
WIDE = ("q8_k", "f8e4m3_128", "mxfp4", "nvfp4")


def quantized(name: str, x: np.ndarray, importance: np.ndarray | None = None) -> np.ndarray:
    """The blocks of `x`, one row of bytes per row."""
    size, block = BLOCKS[name]
    out = np.full((len(x), x.shape[1] // block * size), 0xAA, np.uint8)
    target = _native.Array.from_buffer(out, CODES[name], x.shape, 0)
    source = _native.Array.from_strided(np.ascontiguousarray(x))
    weight = None if importance is None else _native.Array.from_strided(importance)
    _native.call("quantize", target, source, weight)
    return out


def dequantized(name: str, blocks: np.ndarray) -> np.ndarray:
    """The f32 values of rows of blocks."""
    size, block = BLOCKS[name]
    shape = (len(blocks), blocks.shape[1] // size * block)
    out = np.empty(shape, np.float32)
    source = _native.Array.from_buffer(blocks, CODES[name], shape, 0)
    _native.call("dequantize", _native.Array.from_strided(out), source)
    return out


def round_trip(name: str, x: np.ndarray, importance: np.ndarray | None = None) -> np.ndarray:
    return dequantized(name, quantized(name, x, importance))


def gaussian(rows: int = 4, k: int = 512, seed: int = 1) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal((rows, k)).astype(np.float32)


def test_every_block_dtype_is_known_to_the_tests():
    assert {*BLOCKS} == {*TYPES, "f8e4m3_128"}
    assert {*GOLDEN["errors"]} == {*TYPES}


# --- beside the references ------------------------------------------------------------------------


@pytest.mark.parametrize("name", GGUF)
def test_bytes_are_ggufs(name):
    gguf = pytest.importorskip("gguf")
    for matrix, x in matrices():
        wanted = gguf.quants.quantize(x, gguf.GGMLQuantizationType[name.upper()])
        np.testing.assert_array_equal(quantized(name, x), wanted, f"{name} of {matrix}")


@pytest.mark.parametrize("name", GOLDEN["blocks"])
def test_bytes_are_ggmls(name):
    for matrix, x in matrices():
        wanted = np.frombuffer(base64.b85decode(GOLDEN["blocks"][name][matrix]), np.uint8)
        np.testing.assert_array_equal(quantized(name, x[:2]).reshape(-1), wanted, matrix)


def not_worse(name: str, matrix: str, x: np.ndarray) -> None:
    """The error is ggml's at most, and the weighted one too, of what the golden tells."""
    importance = importances(x.shape[1])
    plain, weighted = GOLDEN["errors"][name][matrix]
    size = float(np.sqrt((x.astype(np.float64) ** 2).mean()))
    # Where ggml loses nothing (a format that holds the weights as they are), nor may we.
    slack = 1e-6 * size
    assert rmse(round_trip(name, x), x) <= 1.01 * plain + slack
    assert rmse(round_trip(name, x, importance), x, importance) <= 1.01 * weighted + slack


@pytest.mark.parametrize("name", TYPES)
def test_error_is_at_most_ggmls(name):
    for matrix, x in matrices():
        not_worse(name, matrix, x)


@pytest.mark.parametrize("name", TYPES)
def test_error_is_at_most_ggmls_on_real_weights(name, smollm2_path):
    for matrix, x in weights(str(smollm2_path)):
        not_worse(name, matrix, x)


@pytest.mark.parametrize("name", TYPES)
def test_error_is_at_most_ggmls_on_minilm(name, model_cache):
    for matrix, x in minilm(str(hub.resolve("minilm"))):
        not_worse(name, matrix, x)


@pytest.fixture(scope="module")
def ggml():
    return Ggml()


@pytest.mark.needs_llama_cpp
@pytest.mark.parametrize("name", TYPES)
def test_beside_ggml_itself(ggml, name):
    """The blocks mean the same to ggml as to us, and theirs lose no less."""
    if not ggml.has(name):
        pytest.skip(f"this llama.cpp has no {name}")
    x = np.random.default_rng().standard_normal((16, 512)).astype(np.float32)
    importance = importances(512)
    for weight in (None, importance):
        blocks = quantized(name, x, weight)
        ours = ggml.dequantize(name, blocks.tobytes(), x.shape)
        if name != "q8_1":
            np.testing.assert_array_equal(ours, dequantized(name, blocks))
        theirs = ggml.dequantize(name, ggml.quantize(name, x, weight), x.shape)
        assert rmse(ours, x, weight) <= 1.01 * rmse(theirs, x, weight)
        if weight is None and name in EXACT:
            assert blocks.tobytes() == ggml.quantize(name, x)


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOCKS)
def test_importances_lower_the_weighted_error(name):
    x, importance = gaussian(8, 1024), importances(1024)
    plain = rmse(round_trip(name, x), x, importance)
    weighted = rmse(round_trip(name, x, importance), x, importance)
    assert weighted <= plain if name in INDIFFERENT else weighted < 0.999 * plain


@pytest.mark.parametrize("name", BLOCKS)
def test_equal_importances_are_none(name):
    x = gaussian()
    ones, threes = (np.full(512, each, np.float32) for each in (1, 3))
    np.testing.assert_array_equal(quantized(name, x, ones), quantized(name, x, threes))
    if name not in EXACT:
        np.testing.assert_array_equal(quantized(name, x, ones), quantized(name, x))
    nothing = quantized(name, x, np.zeros(512, np.float32))  # of no column anything is known
    np.testing.assert_array_equal(nothing, quantized(name, x, ones))


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_and_blocks_stand_alone(name):
    x, importance = gaussian(6, 512), importances(512)
    size, block = BLOCKS[name]
    whole = quantized(name, x, importance)
    order = [3, 0, 5, 1]
    np.testing.assert_array_equal(quantized(name, x[order], importance), whole[order])
    # The weights of a block depend on the row's mean, so without importances here.
    np.testing.assert_array_equal(
        quantized(name, x[:, block : 2 * block]), quantized(name, x)[:, size : 2 * size]
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_threads_do_not_change_the_bytes(name):
    x, importance = gaussian(40, 1024), importances(1024)
    before = _native.num_threads()
    made = []
    try:
        for threads in (1, 2, 5):
            _native.set_num_threads(threads)
            made.append(quantized(name, x, importance))
    finally:
        _native.set_num_threads(before)
    assert (made[0] == made[1]).all() and (made[0] == made[2]).all()


@pytest.mark.parametrize("name", BLOCKS)
def test_each_part_of_the_rows_may_have_importances_of_its_own(name):
    x = gaussian(6, 512)
    both = np.stack([importances(512), importances(512)[::-1]])
    parts = [quantized(name, x[3 * i : 3 * i + 3], np.ascontiguousarray(both[i])) for i in (0, 1)]
    np.testing.assert_array_equal(quantized(name, x, both), np.concatenate(parts))


@pytest.mark.parametrize("name", BLOCKS)
def test_powers_of_two_scale_the_result(name):
    """Scales are floats: twice the weights are twice the blocks' values, to the last bit."""
    x = gaussian()
    once = round_trip(name, x)
    for factor in (np.float32(8), np.float32(0.5)):
        twice = round_trip(name, x * factor)
        if name == "nvfp4":  # its scales are floats of 8 bits, which end soon
            assert rmse(twice, x * factor) <= 1.1 * factor * rmse(once, x)
        else:
            # A float16 scale below 2^-14 has fewer bits.
            np.testing.assert_allclose(twice, once * factor, rtol=0, atol=factor * 2e-3)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_a_format_holds_it_keeps(name):
    """Packing unpacked blocks again adds little to the error, if anything."""
    x = gaussian(8, 1024)
    once = round_trip(name, x)
    again = rmse(round_trip(name, once), once)
    share = {"tq1_0": 0, "tq2_0": 0, "q1_0": 1e-3, "q4_0": 1e-6, "q8_0": 1e-6}.get(name, 0.5)
    assert again <= share * rmse(once, x)


# --- the nearest point ----------------------------------------------------------------------------


def bits(packed: np.ndarray, width: int, count: int) -> np.ndarray:
    return packed[..., None] >> (width * np.arange(count)) & ((1 << width) - 1)


def grid_of(name: str) -> np.ndarray:
    """The codebook as the gguf package has it: (points, elements) of magnitudes."""
    quants = pytest.importorskip("gguf.quants")
    kind = getattr(quants, name.upper())
    kind.init_grid()
    return kind.grid.reshape(-1, kind.grid.shape[-1])


@pytest.mark.parametrize(("name", "group"), [("iq2_s", 8), ("iq3_s", 4)])
@pytest.mark.parametrize("weighed", [False, True])
def test_every_group_is_at_the_nearest_codebook_point(name, group, weighed):
    x = gaussian(3, 256)
    importance = importances(256) if weighed else np.ones(256, np.float32)
    blocks = quantized(name, x, importance)
    d = blocks[:, :2].copy().view(np.float16).astype(np.float64)
    if name == "iq2_s":
        scale = np.repeat(d * (2 * bits(blocks[:, 74:82], 4, 2).reshape(3, 16) + 1) / 8, 16, 1)
    else:
        scale = np.repeat(d * (2 * bits(blocks[:, 106:110], 4, 2).reshape(3, 8) + 1), 32, 1)
    size = np.abs(x).astype(np.float64)
    weight = np.broadcast_to(importance, x.shape)
    values = grid_of(name).astype(np.float64)
    split = (-1, 1, group)
    least = np.min(
        (weight.reshape(split) * (scale.reshape(split) * values - size.reshape(split)) ** 2).sum(2),
        axis=1,
    )
    square = weight * (dequantized(name, blocks).astype(np.float64) - x) ** 2
    np.testing.assert_allclose(square.reshape(-1, group).sum(1), least, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["q4_0", "q5_0", "q3_k", "q6_k", "iq4_nl", "iq4_xs"])
def test_every_element_is_at_the_nearest_step(name):
    """Under the block's scales no other code would be nearer: seen from the steps that occur."""
    x, importance = gaussian(2, 512), importances(512)
    y = round_trip(name, x, importance)
    group = 16 if name in ("q3_k", "q6_k") else 32
    for original, rounded in zip(x.reshape(-1, group), y.reshape(-1, group), strict=True):
        nearest = np.abs(original[:, None] - rounded[None]).min(1)
        assert (np.abs(original - rounded) <= nearest + 1e-6).all()


# --- odd input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_odd_values(name, weighed):
    importance = importances(256) if weighed else None

    def error(x):
        return np.abs(round_trip(name, x, importance) - x).max()

    assert (round_trip(name, np.zeros((2, 256), np.float32), importance) == 0).all()
    for tiny in (1e-38, 1e-30, 1e-9):
        assert error(np.float32(tiny) * gaussian(2, 256)) <= 8 * tiny
    for constant in (3.0, -3.0):
        assert error(np.full((1, 256), constant, np.float32)) <= 0.02
    alone = np.zeros((1, 256), np.float32)
    alone[0, 37] = -100
    outlier = gaussian(1, 256)
    outlier[0, 100] = 1000
    for x in (alone, outlier):
        assert np.isfinite(round_trip(name, x, importance)).all()
        assert rmse(round_trip(name, x, importance), x, importance) <= rmse(0 * x, x, importance)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_values_beyond_the_scales_are_refused(name, weighed):
    importance = importances(256) if weighed else None
    x = np.float32(1e30) * gaussian(1, 256)
    if name in WIDE:
        got = round_trip(name, x, importance)
        assert np.isfinite(got).all()
        assert name == "nvfp4" or rmse(got / 1e30, x / 1e30) < 0.3
        return
    with pytest.raises(ArgumentError, match="beyond the range of the blocks' scales"):
        quantized(name, x, importance)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_not_finite_is_refused(name, bad):
    for at in (0, 255, 600):
        x = gaussian(2, 512)
        x.reshape(-1)[at] = bad
        for importance in (None, importances(512)):
            with pytest.raises(ArgumentError, match="x holds NaN or infinity"):
                quantized(name, x, importance)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_importances_that_are_none_are_refused(bad):
    importance = importances(512)
    importance[511] = bad
    with pytest.raises(ArgumentError, match="an importance is negative or not finite"):
        quantized("q4_k", gaussian(), importance)


@pytest.mark.parametrize("shape", [(511,), (3, 512), (1024,), (0,)])
def test_importances_of_another_length_are_refused(shape):
    with pytest.raises(ArgumentError, match=r"importance must be f32.*\(k\)|x holds"):
        quantized("q4_k", gaussian(), np.ones((*shape[:-1], shape[-1]), np.float32)[..., :510])


def test_dtypes_and_shapes_are_checked():
    x = _native.Array.from_strided(gaussian(2, 256))
    for out, error, text in [
        (_native.Array.empty((2, 256), CODES["f16"]), NoKernelError, "no kernel for this dtype"),
        (_native.Array.empty((2, 512), CODES["q8_0"]), ArgumentError, "sizes differ"),
    ]:
        with pytest.raises(error, match=text):
            _native.call("quantize", out, x, None)
    halves = _native.Array.from_strided(gaussian(2, 256).astype(np.float16))
    with pytest.raises(ArgumentError, match="x must be f32"):
        _native.call("quantize", _native.Array.empty((2, 256), CODES["q8_0"]), halves, None)


@pytest.mark.parametrize("name", BLOCKS)
def test_nothing_is_nothing(name):
    for shape in [(0, 256), (3, 0)]:
        x = np.zeros(shape, np.float32)
        assert quantized(name, x).size == 0
        assert quantized(name, x, np.ones(shape[1], np.float32)).size == 0
