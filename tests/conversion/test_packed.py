"""Packed checkpoints on the command line: a float dtype gives the numbers that the file means."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tallow as tl
from cli.conftest import run  # noqa: F401  the fixture
from tallow.errors import ModelError
from tallow.weights import open_weights
from weights.checkpoints import PACKERS, Ints, compressed, config, draw, opened, write

DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}


def folder_of(tmp_path, ints, method, **more):
    folder = tmp_path / "m"
    parts = PACKERS[method](ints, **({"zeros": True} if method == "compressed-tensors" else {}))
    names = {f"layer.{name}": array for name, array in parts.items()}
    write(folder, names, config(method, 32, bits=ints.bits, **more))
    return folder


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", ["safetensors", "gguf", "pt", "npz"])
@pytest.mark.parametrize("method", PACKERS)
def test_zero_points_pass_through_no_block(run, tmp_path, method, suffix, dtype):  # noqa: F811
    if (suffix, dtype) == ("npz", "bf16"):
        return
    ints = draw(np.random.default_rng(3), 16, 64, 32)
    folder = folder_of(tmp_path, ints, method)
    out = tmp_path / f"out.{suffix}"
    code, _, err = run("convert", folder, out, "--dtype", dtype, "--names", "hf")
    assert code == 0, err
    found = open_weights(out).take("layer.weight")
    assert found.dtype.name == dtype
    wanted = ints.weight.astype(np.float32).astype(DTYPES[dtype]).astype(np.float32)
    np.testing.assert_array_equal(found.to(tl.f32).numpy(), wanted)


def test_rounding_by_blocks_is_told(run, tmp_path):  # noqa: F811
    folder = folder_of(tmp_path, draw(np.random.default_rng(3), 16, 64, 32), "gptq")
    code, _, err = run("convert", folder, tmp_path / "out.gguf", "--names", "hf")
    assert code == 0 and "zero points of 1 tensors are rounded to f16" in err


@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0"])
def test_desc_act_with_a_dtype(run, tmp_path, dtype):  # noqa: F811
    rng = np.random.default_rng(4)
    ints = draw(rng, 8, 64, 32, order=rng.permutation(64) % 2)
    folder = folder_of(tmp_path, ints, "gptq", desc_act=True)
    arguments = ("convert", folder, tmp_path / "out.gguf", "--names", "hf")
    code, _, err = run(*arguments)
    assert (code, err.count("\n")) == (1, 2)  # a note about the config, an error
    assert "--dtype" in err and "desc_act" in err
    assert run(*arguments, "--dtype", dtype)[0] == 0
    found = open_weights(tmp_path / "out.gguf").take("layer.weight")
    floats = tl.from_numpy(ints.weight.astype(np.float32))
    wanted = tl.quantize(floats, dtype) if dtype == "q8_0" else floats.to(dtype)
    assert found.to(tl.f32).tolist() == wanted.to(tl.f32).tolist()
    assert run("diff", folder, tmp_path / "out.gguf", "--tolerance", 1e-2)[0] == 0


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("n", "k"), [(8, 36), (5, 33), (3, 40), (6, 64), (2, 1)])
@pytest.mark.parametrize("zeros", [False, True])
def test_the_stated_shape_counts(tmp_path, bits, n, k, zeros):
    """compressed-tensors fills the last word of a row (and of zero points) up."""
    ints = draw(np.random.default_rng(5), n, k, 32, bits=bits, symmetric=not zeros)
    per = 32 // bits
    wide = Ints(
        np.pad(ints.codes, ((0, 0), (0, -k % per))),
        np.pad(ints.zeros, ((0, 0), (0, -n % per))),
        ints.scales,
        ints.group_of,
        bits,
    )
    parts = compressed(wide, zeros=zeros) | {"weight_shape": np.array([n, k], np.int64)}
    source = opened(tmp_path / "m", parts, config("compressed-tensors", 32, bits=bits))
    assert source.info("layer.weight").shape == (n, k)
    np.testing.assert_array_equal(
        source.take("layer.weight", tl.f32).numpy(), ints.weight.astype(np.float32)
    )


@pytest.mark.parametrize("shape", [[8, 32], [8, 41], [7, 36], [-8, 36], [8, 36, 1]])
def test_a_stated_shape_that_does_not_fit(tmp_path, shape):
    ints = draw(np.random.default_rng(5), 8, 40, 40, symmetric=True)
    parts = compressed(ints) | {"weight_shape": np.array(shape, np.int64)}
    with pytest.raises(ModelError, match="weight_shape: expected"):
        opened(tmp_path / "m", parts, config("compressed-tensors", 40))
