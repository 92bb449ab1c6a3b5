"""Experts of GPT-OSS checkpoints in 4-bit floats: their values by the format's own table."""

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from tallow.weights import open_weights
from tallow.weights.quantized import unpacked

# E2M1 of OCP Microscaling Formats 1.0, whose scales are powers of two with a bias of 127.
TABLE = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
TABLE = np.concatenate([TABLE, -TABLE])
STEM = "model.layers.0.mlp.experts."


def stored(rng, rows):
    blocks = rng.integers(0, 256, (3, rows, 2, 16), np.uint8)
    scales = rng.integers(120, 130, (3, rows, 2), np.uint8)
    codes = np.stack([blocks & 15, blocks >> 4], -1).reshape(3, rows, 2, 32)
    values = TABLE[codes] * 2.0 ** (scales.astype(float)[..., None] - 127)
    return blocks, scales, values.reshape(3, rows, 64).astype(np.float32)


def source_of(arrays):
    return open_weights({STEM + name: tl.tensor(array) for name, array in arrays.items()})


def test_values_are_those_of_the_format():
    rng = np.random.default_rng(0)
    both, both_scales, pairs = stored(rng, 8)
    down, down_scales, values = stored(rng, 5)
    source = unpacked(
        source_of({
            "gate_up_proj_blocks": both, "gate_up_proj_scales": both_scales,
            "down_proj_blocks": down, "down_proj_scales": down_scales,
        }),
        {"quant_method": "mxfp4"},
    )  # fmt: skip
    expected = {"gate_proj": pairs[:, ::2], "up_proj": pairs[:, 1::2], "down_proj": values}
    assert set(source.names()) == {f"{STEM}{name}.weight" for name in expected}
    for name, want in expected.items():
        found = source.take(f"{STEM}{name}.weight")
        assert found.dtype.name == "mxfp4"
        np.testing.assert_array_equal(found.to(tl.f32).numpy(), want)


@pytest.mark.parametrize("scales", [(3, 8), (3, 8, 3), (2, 8, 2), None], ids=str)
def test_parts_that_do_not_fit_are_told(scales):
    arrays = {"gate_up_proj_blocks": np.zeros((3, 8, 2, 16), np.uint8)}
    if scales is not None:
        arrays["gate_up_proj_scales"] = np.zeros(scales, np.uint8)
    with pytest.raises(ModelError, match="gate_up_proj_blocks: expected u8"):
        unpacked(source_of(arrays), {"quant_method": "mxfp4"})
