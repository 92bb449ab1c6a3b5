"""GPTQ, AWQ and compressed-tensors checkpoints against their dequantised numbers."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tallow as tl
from tallow.errors import ModelError, TallowError
from tallow.models import build
from tallow.nn import Linear, Module, param
from tallow.tensor import tobytes
from tallow.weights import fill, open_weights
from weights.checkpoints import (
    PACKERS,
    awq,
    compressed,
    config,
    draw,
    gptq,
    opened,
    write,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "models"


def q4_0(ints):
    """The block layout of ggml, made number by number: f16 scale, then columns j and j + 16."""
    out = b""
    for row in range(ints.codes.shape[0]):
        for start in range(0, ints.codes.shape[1], 32):
            block = ints.codes[row, start : start + 32]
            out += struct.pack("<e", ints.scales[ints.group_of[start], row])
            out += bytes(int(block[j]) | int(block[j + 16]) << 4 for j in range(16))
    return out


@pytest.mark.parametrize("method", PACKERS)
@pytest.mark.parametrize(("n", "k", "group"), [(8, 64, 32), (24, 128, 64), (16, 96, -1)])
def test_symmetric_is_q4_0_bit_by_bit(tmp_path, method, n, k, group):
    ints = draw(np.random.default_rng(n), n, k, k if group == -1 else group, symmetric=True)
    source = opened(tmp_path / "m", PACKERS[method](ints), config(method, group))
    assert source.names() == ["layer.weight"]
    info = source.info("layer.weight")
    assert (info.dtype, info.shape, info.nbytes) == ("q4_0", (n, k), n * k // 32 * 18)
    tensor = source.take("layer.weight")
    assert tensor.dtype is tl.q4_0
    assert tobytes(tensor) == q4_0(ints)
    np.testing.assert_array_equal(tensor.to(tl.f32).numpy(), ints.weight)
    np.testing.assert_array_equal(source.take("layer.weight", "f32").numpy(), ints.weight)


@pytest.mark.parametrize(
    ("method", "packed", "more"),
    [
        ("gptq", gptq, {}),
        ("gptq", lambda i: gptq(i, g_idx=False), {"desc_act": False, "sym": False}),
        ("gptq", lambda i: gptq(i, version=2), {"checkpoint_format": "gptq_v2"}),
        ("awq", awq, {"version": "GEMM", "zero_point": True}),
        ("compressed-tensors", lambda i: compressed(i, zeros=True), {}),
    ],
    ids=["gptq", "no g_idx", "gptq_v2", "awq", "compressed"],
)
def test_asymmetric_is_q4_1_within_the_stated_bound(tmp_path, method, packed, more):
    ints = draw(np.random.default_rng(3), 32, 192, 64)
    assert {0, 15} <= set(ints.zeros.flat), "zero points at both ends"
    source = opened(tmp_path / "m", packed(ints), config(method, 64, **more))
    assert source.info("layer.weight").dtype == "q4_1"
    exact = source.take("layer.weight", tl.f32).numpy()
    np.testing.assert_array_equal(exact, ints.weight)
    rounded = source.take("layer.weight").to(tl.f32).numpy()
    scale = ints.scales.astype(float)[ints.group_of].T
    zero = ints.zeros.astype(float)[ints.group_of].T
    # d·q + m is rounded to f32 once more.
    bound = np.maximum(scale * zero * 2**-11, 2**-25) + 1e-7
    assert (np.abs(rounded - exact) <= bound).all()
    assert np.abs(rounded - exact).max() > 1e-5, "the bound is about something"
    half = source.take("layer.weight", "f16")
    np.testing.assert_array_equal(half.numpy(), ints.weight.astype(np.float16))


@pytest.mark.parametrize("method", ["gptq", "compressed-tensors"])
def test_symmetric_8_bits_are_q8_0(tmp_path, method):
    ints = draw(np.random.default_rng(4), 16, 64, 32, bits=8, symmetric=True)
    ints.codes[0, :2] = 0, 255
    source = opened(tmp_path / "m", PACKERS[method](ints), config(method, 32, bits=8))
    tensor = source.take("layer.weight")
    assert tensor.dtype is tl.q8_0
    np.testing.assert_array_equal(tensor.to(tl.f32).numpy(), ints.weight)
    np.testing.assert_array_equal(source.take("layer.weight", "f32").numpy(), ints.weight)


@pytest.mark.parametrize(
    ("name", "method", "values"),
    [
        ("quantize_config.json", "gptq", {"bits": 4, "group_size": 32, "desc_act": False}),
        ("quant_config.json", "awq", {"w_bit": 4, "q_group_size": 32, "version": "GEMM"}),
    ],
)
def test_settings_in_a_file_of_their_own(tmp_path, name, method, values):
    ints = draw(np.random.default_rng(18), 8, 64, 32, symmetric=True)
    parts = {f"layer.{part}": array for part, array in PACKERS[method](ints).items()}
    write(tmp_path / "m", parts, None, model_type="llama")
    (tmp_path / "m" / name).write_text(json.dumps(values))
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "gptq_model-4bit.safetensors")
    source = open_weights(tmp_path / "m")
    assert tobytes(source.take("layer.weight")) == q4_0(ints)
    assert source.config == {"model_type": "llama"}


def test_a_layer_of_floats_is_given_no_blocks(tmp_path):
    ints = draw(np.random.default_rng(19), 8, 64, 32, symmetric=True)
    source = opened(tmp_path / "m", gptq(ints), config("gptq", 32))

    class Table(Module):
        def __init__(self):
            self.weight = param(8, 64, kinds="f")

    message = r"expected a float tensor of shape \(8, 64\), found q4_0 of shape \(8, 64\)"
    with pytest.raises(ModelError, match=message):
        fill(Table(), source.scope("layer"))


def test_scales_in_other_floats(tmp_path):
    ints = draw(np.random.default_rng(5), 8, 64, 32, symmetric=True, dtype=np.float32)
    source = opened(tmp_path / "m", gptq(ints), config("gptq", 32))
    exact = source.take("layer.weight", "f32").numpy()
    np.testing.assert_allclose(exact, ints.weight, rtol=1e-7)
    rounded = source.take("layer.weight").to(tl.f32).numpy()
    np.testing.assert_allclose(rounded, ints.weight, rtol=2**-11)


FLOATS_ONLY = {
    "desc_act": (
        lambda rng: draw(rng, 8, 64, 32, order=rng.permutation(np.arange(64) // 32)),
        {"desc_act": True},
        "desc_act: 32 neighbouring columns are of several groups",
    ),
    "groups of 16": (lambda rng: draw(rng, 8, 64, 16), {}, "desc_act|groups of 16 columns"),
    "8 bits": (lambda rng: draw(rng, 8, 64, 32, bits=8), {}, "8 bits with a zero point other"),
    "40 columns": (lambda rng: draw(rng, 8, 40, 40), {}, "rows of 40 columns"),
}


@pytest.mark.parametrize("case", FLOATS_ONLY)
def test_what_no_block_holds_is_given_as_floats(tmp_path, case):
    make, more, reason = FLOATS_ONLY[case]
    ints = make(np.random.default_rng(6))
    group = ints.codes.shape[1] // len(ints.scales)
    source = opened(tmp_path / "m", gptq(ints), config("gptq", group, bits=ints.bits, **more))
    for dtype in ("f32", "f16", "bf16"):
        found = source.take("layer.weight", dtype)
        wanted = tl.tensor(ints.weight.astype(np.float32)).to(dtype)
        assert tobytes(found) == tobytes(wanted)
    with pytest.raises(ModelError, match=rf"layer\.weight: expected dtype f32.*({reason})"):
        source.take("layer.weight")
    layer = Linear(ints.codes.shape[1], 8, bias=False)
    with pytest.raises(ModelError, match=reason):
        fill(layer, source.scope("layer"))
    fill(layer, source.scope("layer"), dtype=tl.f32)
    found = layer.weight.detach().numpy()
    np.testing.assert_array_equal(found, ints.weight.astype(np.float32))


def test_an_order_that_keeps_blocks_whole_is_no_obstacle(tmp_path):
    order = np.repeat([2, 0, 1, 0], 32)
    ints = draw(np.random.default_rng(7), 8, 128, 48, symmetric=True, order=order)
    source = opened(tmp_path / "m", gptq(ints), config("gptq", 48, desc_act=True))
    assert tobytes(source.take("layer.weight")) == q4_0(ints)


def test_a_layer_is_filled_with_blocks(tmp_path):
    rng = np.random.default_rng(8)
    ints = draw(rng, 16, 64, 32, symmetric=True)
    parts = {f"proj.{name}": array for name, array in awq(ints).items()}
    parts |= {"proj.bias": np.ones(16, np.float16), "norm.weight": np.ones(4, np.float32)}
    write(tmp_path / "m", parts, config("awq", 32), model_type="x")
    source = open_weights(tmp_path / "m")
    assert sorted(source.names()) == ["norm.weight", "proj.bias", "proj.weight"]
    assert source.config == {"model_type": "x"}
    layer = Linear(64, 16)
    fill(layer, source.scope("proj"))
    layer.exact = True
    x = rng.standard_normal((3, 64)).astype(np.float32)
    found = layer(tl.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, x @ ints.weight.T + 1, atol=1e-4)


def test_rows_and_columns_of_a_packed_layer(tmp_path):
    ints = draw(np.random.default_rng(9), 16, 128, 64, symmetric=True)
    source = opened(tmp_path / "m", gptq(ints), config("gptq", 64))
    rows = source.shard(1, 2, {".*": 0})
    assert rows.info("layer.weight").shape == (8, 128)
    np.testing.assert_array_equal(rows.take("layer.weight").to("f32").numpy(), ints.weight[8:])
    columns = source.take_slice("layer.weight", 1, 1, 4)
    np.testing.assert_array_equal(columns.to("f32").numpy(), ints.weight[:, 32:64])


def damaged(change):
    ints = draw(np.random.default_rng(15), 16, 64, 32)
    parts, values = gptq(ints), config("gptq", 32)
    change(parts, values)
    return parts, values


BAD = {
    "no bits": (lambda p, c: c.pop("bits"), "bits: expected 4 or 8, found None"),
    "3 bits": (lambda p, c: c.update(bits=3), "bits: expected 4 or 8, found 3"),
    "bits of text": (lambda p, c: c.update(bits="4"), "bits: expected 4 or 8, found '4'"),
    "group of 0": (lambda p, c: c.update(group_size=0), "group_size: expected a number"),
    "another group": (
        lambda p, c: c.update(group_size=64),
        r"layer\.scales: expected shape for 16",
    ),
    "another format": (lambda p, c: c.update(checkpoint_format="marlin"), "checkpoint_format: exp"),
    "no scales": (lambda p, c: p.pop("scales"), r"layer\.scales: expected scales, found nothing"),
    "no zeros": (lambda p, c: p.pop("qzeros"), r"layer\.qzeros: expected zero points, found noth"),
    "short zeros": (
        lambda p, c: p.update(qzeros=p["qzeros"][:1]),
        r"layer\.qzeros: expected shape",
    ),
    "short order": (lambda p, c: p.update(g_idx=p["g_idx"][:-1]), r"layer\.g_idx: expected shape"),
    "floats": (lambda p, c: p.update(qweight=p["qweight"].astype("f4")), "expected i32 of 2 axes"),
    "flat": (lambda p, c: p.update(qweight=p["qweight"].reshape(-1)), "expected i32 of 2 axes"),
    "both": (lambda p, c: p.update(weight=np.ones(3)), "expected no weight beside packed ones"),
    "nothing packed": (lambda p, c: [p.clear(), p.update(bias=np.ones(3))], "packed as 'gptq'"),
}


@pytest.mark.parametrize("case", BAD)
def test_checkpoints_that_make_no_sense(tmp_path, case):
    change, message = BAD[case]
    parts, values = damaged(change)
    with pytest.raises(ModelError, match=message) as caught:
        opened(tmp_path / "m", parts, values)
    assert "quantization_config" in str(caught.value)


@pytest.mark.parametrize("group", [-1, 2])
def test_groups_that_do_not_exist(tmp_path, group):
    parts, values = damaged(lambda p, c: p["g_idx"].__setitem__(5, group))
    source = opened(tmp_path / "m", parts, values)
    with pytest.raises(ModelError, match=r"layer\.g_idx: expected groups from 0 to 1"):
        source.take("layer.weight", "f32")


def test_all_mismatches_are_listed(tmp_path):
    parts = {}
    for stem in "abc":
        made, values = damaged(lambda p, c: p.pop("scales"))
        parts |= {f"{stem}.{name}": array for name, array in made.items()}
    write(tmp_path / "m", parts, values)
    with pytest.raises(ModelError) as caught:
        open_weights(tmp_path / "m")
    for stem in "abc":
        assert f"{stem}.scales: expected scales" in str(caught.value)


def test_unknown_methods_are_left_alone(tmp_path):
    source = opened(tmp_path / "m", {"w": np.ones(3)}, {"quant_method": "bitsandbytes"})
    assert source.names() == ["layer.w"]
    assert source.config["quantization_config"] == {"quant_method": "bitsandbytes"}
    values = json.loads((GOLDEN / "llama" / "config.json").read_text())
    write(tmp_path / "l", {"w": np.ones(3)}, {"quant_method": "bitsandbytes"}, **values)
    with pytest.raises(ModelError, match="quantization_config"):
        build(open_weights(tmp_path / "l"))


@pytest.mark.parametrize("junk", [[], "gptq", 3, {"quant_method": ["gptq"]}, {"quant_method": {}}])
def test_config_of_another_kind(tmp_path, junk):
    source = opened(tmp_path / "m", {"w": np.ones(3)}, junk)
    assert source.names() == ["layer.w"]


@pytest.mark.slow
def test_random_configs_give_one_kind_of_error(tmp_path):
    rng = np.random.default_rng(16)
    junk = [
        None,
        4,
        8,
        -1,
        0,
        32,
        "gptq",
        "gemm",
        [],
        {},
        True,
        1e300,
        10**30,
        [128, 128],
        "x" * 99,
    ]
    keys = ["bits", "group_size", "checkpoint_format", "version", "format", "config_groups"]
    keys += ["weight_block_size", "w_bit", "q_group_size", "desc_act"]
    parts = gptq(draw(rng, 8, 32, 32))
    for round_ in range(300):
        method = str(rng.choice(["gptq", "awq", "compressed-tensors", "fp8", "fbgemm_fp8"]))
        values = {"quant_method": method}
        for key in rng.choice(keys, 4, replace=False):
            values[str(key)] = junk[rng.integers(len(junk))]
        with suppress(TallowError):
            opened(tmp_path / f"m{round_ % 2}", parts, values).take("layer.weight", "f32")


def test_golden_arrays_are_read_as_floats():
    """A folder without a quantization_config is not touched."""
    source = open_weights(GOLDEN / "qwen3")
    arrays = {}
    for file in (GOLDEN / "qwen3").glob("model*.safetensors"):
        arrays |= load_file(file)
    for name, array in arrays.items():
        np.testing.assert_array_equal(source.take(name).numpy(), array)
