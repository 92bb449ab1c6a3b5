"""FP8 checkpoints, as DeepSeek and others write them, against their dequantised numbers."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from tallow.weights import open_weights
from weights.checkpoints import (
    e4m3,
    write_fp8,
)

FP8 = {
    "deepseek": ((256, 384), (2, 3), "weight_scale_inv", {"weight_block_size": [128, 128]}),
    "partial blocks": ((200, 256), (2, 2), "weight_scale_inv", {"weight_block_size": [128, 128]}),
    "tall blocks": ((96, 256), (2, 1), "weight_scale_inv", {"weight_block_size": [64, 256]}),
    "per tensor": ((16, 128), (), "weight_scale", {}),
    "per tensor of 1": ((16, 128), (1,), "weight_scale_inv", {}),
    "per row": ((16, 256), (16, 1), "weight_scale", {"activation_scheme": "dynamic"}),
}


@pytest.mark.parametrize("case", FP8)
def test_fp8_weights(tmp_path, case):
    shape, scale_shape, name, more = FP8[case]
    rng = np.random.default_rng(10)
    weight, scales = e4m3(rng, shape), rng.uniform(0.5, 2, scale_shape).astype(np.float32)
    parts = {"weight": weight.view(np.uint8), name: scales}
    parts["input_scale"] = np.ones((), np.float32)
    folder = tmp_path / "m"
    write_fp8(folder, {f"layer.{key}": part for key, part in parts.items()}, "layer.weight", more)
    source = open_weights(folder)
    assert source.names() == ["layer.weight"]
    rows, columns = more.get("weight_block_size", [128, 128])
    expected = np.empty(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            if scale_shape in ((), (1,)):
                scale = scales.reshape(())
            elif scale_shape == (shape[0], 1):
                scale = scales[i, 0]
            else:
                scale = scales[i // rows, j // columns]
            expected[i, j] = np.float32(weight[i, j]) * np.float32(scale)
    exact = source.take("layer.weight", tl.f32).numpy()
    np.testing.assert_array_equal(exact, expected)
    tensor = source.take("layer.weight")
    assert tensor.dtype.name == source.info("layer.weight").dtype == "f8e4m3_128"
    np.testing.assert_array_equal(tensor.to(tl.f32).numpy(), expected)


def test_fp8_that_no_block_holds(tmp_path):
    rng = np.random.default_rng(11)
    weight = e4m3(rng, (8, 96))
    parts = {"l.weight": weight.view(np.uint8), "l.weight_scale": np.float32(0.5).reshape(())}
    write_fp8(tmp_path / "m", parts, "l.weight", {})
    source = open_weights(tmp_path / "m")
    np.testing.assert_array_equal(
        source.take("l.weight", "f32").numpy(), weight.astype(np.float32) / 2
    )
    with pytest.raises(ModelError, match="no block dtype holds rows of 96 columns"):
        source.take("l.weight")


def test_scales_that_are_powers_of_two(tmp_path):
    """Newer DeepSeek checkpoints store the scales in E8M0, of which only the exponent is kept."""
    weight = e4m3(np.random.default_rng(12), (128, 256))
    parts = {"l.weight": weight.view(np.uint8), "l.weight_scale_inv": np.array([[120, 130]], "u1")}
    write_fp8(tmp_path / "m", parts, "l.weight", {})
    path = tmp_path / "m" / "model.safetensors"
    path.write_bytes(
        path.read_bytes().replace(b'"U8"     ', b'"F8_E8M0"').replace(b'"U8"', b'"F8_E8M0"')
    )
    raw = path.read_bytes()
    at = raw.index(b"}}") + 2
    path.write_bytes(struct.pack("<Q", at - 8) + raw[8:])
    source = open_weights(tmp_path / "m")
    scales = np.repeat(np.array([2.0**-7, 2.0**3], np.float32), 128)
    expected = weight.astype(np.float32) * scales
    np.testing.assert_array_equal(source.take("l.weight", "f32").numpy(), expected)
    np.testing.assert_array_equal(source.take("l.weight").to("f32").numpy(), expected)


FP8_BAD = {
    "no scale": ({"l.weight": np.zeros((4, 128), "u1")}, {}, "scales for a weight of f8e4m3"),
    "scale of integers": (
        {"l.weight": np.zeros((4, 128), "u1"), "l.weight_scale": np.ones(1, "i4")},
        {},
        "expected f32, f16, bf16 or F8_E8M0, found i32",
    ),
    "scales of another shape": (
        {"l.weight": np.zeros((4, 128), "u1"), "l.weight_scale": np.ones((3, 3), "f4")},
        {},
        r"one scale, one a row, or shape \(1, 1\)",
    ),
    "flat weight": (
        {"l.weight": np.zeros(128, "u1"), "l.weight_scale": np.ones(1, "f4")},
        {},
        "f8e4m3 of 2 axes",
    ),
    "block size": (
        {"l.weight": np.zeros((4, 128), "u1"), "l.weight_scale": np.ones(1, "f4")},
        {"weight_block_size": [128, 0]},
        "weight_block_size: expected rows and columns",
    ),
}


@pytest.mark.parametrize("case", FP8_BAD)
def test_fp8_that_makes_no_sense(tmp_path, case):
    parts, more, message = FP8_BAD[case]
    write_fp8(tmp_path / "m", parts, "l.weight", more)
    with pytest.raises(ModelError, match=message):
        open_weights(tmp_path / "m")
