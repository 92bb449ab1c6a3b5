"""Promotion against a golden of torch's rules, and conversions against numpy and ml_dtypes."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from ops.arrays import ALL, draw, tensor
from ops.table import FLOATS, INTEGERS, NUMPY
from tallow import _native
from tallow.dtype import DTYPES
from tallow.errors import ArgumentError, DTypeError

GOLDEN = Path(__file__).with_name("promotion.json")
NUMBERS = {"True": True, "int": 3, "float": 0.5}
TORCH = {
    "bool": "bool",
    "u8": "uint8",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
}


def promoted(p, q):
    """The dtype in which two operands meet: "f32" has an axis, "f32()" none, or a number."""

    def operand(text):
        if text in NUMBERS:
            return NUMBERS[text]
        shape = () if text.endswith("()") else (1,)
        return tl.ones(shape, dtype=text.removesuffix("()"))._array

    return DTYPES[_native.result_type(operand(p), operand(q), "test")].name


def pairs():
    tensors = [*TORCH, *(f"{name}()" for name in TORCH)]
    return itertools.product(tensors, [*tensors, *NUMBERS])


def test_promotion_is_torchs():
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) == 20 * 23
    wrong = {
        key: (promoted(*key.split(" ")), dtype)
        for key, dtype in golden.items()
        if promoted(*key.split(" ")) != dtype
    }
    assert not wrong


@pytest.mark.needs_torch
def test_golden_promotion_is_torchs():
    """`python tests/ops/test_dtypes.py` writes the golden anew."""
    assert json.loads(GOLDEN.read_text()) == make_golden()


def make_golden():
    import torch

    names = {getattr(torch, theirs): ours for ours, theirs in TORCH.items()}

    def operand(text):
        if text in NUMBERS:
            return NUMBERS[text]
        return torch.ones(
            () if text.endswith("()") else 1, dtype=getattr(torch, TORCH[text.removesuffix("()")])
        )

    return {f"{p} {q}": names[torch.result_type(operand(p), operand(q))] for p, q in pairs()}


def test_results_have_the_promoted_dtype():
    for p, q in itertools.product(("u8", "i16", "i64", "f16", "bf16", "f32", "f64"), repeat=2):
        assert (tl.ones(2, dtype=p) + tl.ones(2, dtype=q)).dtype.name == promoted(p, q)
        assert tl.ones(2, dtype=p).eq(tl.ones(2, dtype=q)).dtype is tl.bool_
    assert (tl.ones(2, dtype="u8") + 300).tolist() == [45, 45]  # wraps beside a tensor, as in torch
    assert (tl.ones(2, dtype="u64") + 2**63).tolist() == [2**63 + 1] * 2


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_conversion_of_what_fits(source, target):
    array = draw((5, 300), source)
    if target.startswith("u") or source.startswith("u"):
        array = np.abs(array) if source != "bool" else array
    got = tensor(array).to(target)
    assert got.dtype.name == target
    np.testing.assert_array_equal(got.numpy(), array.astype(NUMPY[target]))
    np.testing.assert_array_equal(
        tensor(array)[:, ::-3].to(target).numpy(), array[:, ::-3].astype(NUMPY[target])
    )


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", FLOATS)
def test_conversion_of_hard_floats(source, target):
    hard = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        65504,
        65519.9,
        65520,
        3e38,
        3.4e38,
        1e-8,
        6e-8,
        2e-45,
        1e-40,
        1 / 3,
        1.00048828125,
        1.00390625,
        1.01171875,
        2049,
        257,
        -1e300,
    ]
    with np.errstate(all="ignore"):
        array = np.array(hard * 3).astype(NUMPY[source])
        # 64 bits come down by way of 32, as in torch.
        wanted = (
            array.astype(np.float32).astype(NUMPY[target])
            if target in ("f16", "bf16")
            else array.astype(NUMPY[target])
        )
    got = tensor(array).to(target).numpy()
    np.testing.assert_array_equal(got.astype(np.float64), wanted.astype(np.float64))
    assert (np.signbit(got.astype(np.float64)) == np.signbit(wanted.astype(np.float64)))[
        ~np.isnan(got.astype(np.float64))
    ].all()


@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_every_half_survives(name):
    bits = np.arange(65536, dtype=np.uint16)
    array = bits.view(NUMPY[name])
    for wide in ("f32", "f64"):
        there = tl.from_numpy(array).to(wide)
        with np.errstate(all="ignore"):
            wanted = array.astype(NUMPY[wide])
        np.testing.assert_array_equal(there.numpy(), wanted)
        back = there.to(name).numpy().view(np.uint16)
        nan = np.isnan(array.astype(np.float32))
        assert (back == bits)[~nan].all() and np.isnan(
            back[nan].view(NUMPY[name]).astype(np.float32)
        ).all()


@pytest.mark.parametrize("source", INTEGERS)
@pytest.mark.parametrize("target", ALL)
def test_conversion_of_extreme_integers(source, target):
    info = np.iinfo(NUMPY[source])
    array = np.array([info.min, info.max, info.max - 1, info.max // 2 + 1, 1] * 20, NUMPY[source])
    middle = array.astype(np.float32) if target in ("f16", "bf16") else array
    with np.errstate(all="ignore"):
        wanted = middle.astype(NUMPY[target])
    np.testing.assert_array_equal(tensor(array).to(target).numpy(), wanted)


def test_conversion_of_floats_to_u64():
    large = [2.0**63, 2.0**63 + 2.0**20, 1.5e19, 2.0**62, 0.0]
    for source in ("f64", "f32"):
        array = np.array(large, NUMPY[source])
        np.testing.assert_array_equal(tensor(array).to("u64").numpy(), array.astype(np.uint64))


def test_truth_of_floats():
    assert tl.tensor([0.0, -0.0, math.nan, math.inf, 1e-40]).bool().tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]
    for wild in (math.nan, math.inf, -math.inf, 1e30):
        for target in INTEGERS:
            tl.tensor([wild] * 9).to(target).tolist()  # some integer, as in torch; no trap


@pytest.mark.parametrize("dtype", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_block_dtypes_of_any_layout(dtype):
    x = tensor(draw((6, 64), "f32"))
    packed = x.to(dtype)
    whole = packed.to("f32")
    assert (whole - x).abs().amax().item() < 0.5
    assert packed[::2].to("f32").tolist() == whole[::2].tolist()
    assert packed[::-1].clone().to("f32").tolist() == whole[::-1].tolist()
    assert packed.to("f64").to("f32").tolist() == whole.tolist()
    assert x.to("f64").T.contiguous().T.to(dtype).to("f32").tolist() == whole.tolist()
    assert packed.to("q8_0").dtype.name == "q8_0"
    assert tl.cat([packed, packed[:1]]).to("f32")[6].tolist() == whole[0].tolist()
    for refuse in (
        lambda: packed + 1,
        lambda: packed.sum(),
        lambda: packed.exp(),
        lambda: packed.tolist(),
        lambda: packed.numpy(),
        lambda: packed.T,
        lambda: packed[:, 1:],
        lambda: tl.cat([x, packed]),
    ):
        with pytest.raises(DTypeError):
            refuse()


def test_refused_dtypes():
    b = tl.tensor([True])
    for refuse in (
        lambda: -b,
        lambda: b - b,
        lambda: b - True,
        lambda: ~tl.ones(2),
        lambda: tl.ones(2) & 1,
        lambda: tl.ones(2) << 1,
    ):
        with pytest.raises(TypeError):
            refuse()
    assert (b - 1).tolist() == [0] and (b + b).tolist() == [True] and (~b).tolist() == [False]
    with pytest.raises(DTypeError, match="expected one of"):
        tl.zeros(2, dtype="f31")


def test_numbers_that_do_not_fit():
    for call in (
        lambda: tl.full((2,), 300, "u8"),
        lambda: tl.tensor([300], "u8"),
        lambda: tl.tensor([-1], "u64"),
        lambda: tl.full((), math.nan, "i32"),
        lambda: tl.tensor([2**64]),
        lambda: tl.ones(2, dtype="i64") + 2**63,
        lambda: tl.zeros(2).fill_(10**400),
        lambda: tl.full((), 10**400, "u64"),
    ):
        with pytest.raises(ArgumentError, match=r"^[a-z]+: expected a number that"):
            call()
    assert tl.full((), 1.9, "i64").item() == 1 and tl.full((), 0.5, "bool").item() is True
    assert (
        tl.tensor([2**64 - 1], "u64").item() == 2**64 - 1
        and tl.full((), 2**63, "u64").item() == 2**63
    )


@pytest.mark.parametrize("dtype", ["bool", "u8", "i16", "f16", "bf16", "i32", "f32", "i64", "f64"])
def test_full_of_any_size(dtype):
    for shape in ((), (0,), (1,), (3, 0, 2), (5, 1, 3), (64,), (16, 8), (1025,), (40, 30)):
        made = tl.full(shape, 3.5, dtype)
        value = {"bool": True, "f": 3.5, "b": 3.5}.get(dtype if dtype == "bool" else dtype[0], 3)
        assert made.shape == shape and made.flatten().tolist() == [value] * made.numel()
    assert tl.full((3,), 1 + 2j).tolist() == [1 + 2j] * 3


def test_numpy_integers_are_integers():
    whole = np.int64(4)
    assert tl.arange(whole).dtype is tl.i64
    assert tl.arange(0, whole, np.uint8(2)).tolist() == [0, 2]
    assert tl.arange(tl.tensor(3)).tolist() == [0, 1, 2]
    assert tl.arange(np.float32(2)).dtype is tl.arange(0, whole, 0.5).dtype is tl.f32
    assert tl.full((2,), whole).dtype is tl.i64
    assert tl.full((2,), np.bool_(True)).tolist() == [True, True]
    assert tl.full((2,), np.float32(1)).dtype is tl.f32


def test_arange_is_exact():
    assert tl.arange(2**60, 2**60 + 4).tolist() == [*range(2**60, 2**60 + 4)]
    assert tl.arange(10, 0, -3).tolist() == [10, 7, 4, 1] and tl.arange(0).shape == (0,)
    assert tl.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    for bad in ((0, math.inf), (0, math.nan), (0, 5, 0), (0, 5, -1)):
        with pytest.raises(tl.TallowError, match="^arange: expected"):
            tl.arange(*bad)


if __name__ == "__main__":
    text = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value)}" for key, value in make_golden().items()
    )
    GOLDEN.write_text("{\n" + text + "\n}\n")


@pytest.mark.parametrize("target", ["f16", "bf16", "f32", "f64", "f8e4m3"])
@pytest.mark.parametrize("source", ["bool", "u8", "i8", "u16", "i16"])
def test_every_small_integer_becomes_a_float(source, target):
    kind = {"bool": "bool", "u8": "uint8", "i8": "int8", "u16": "uint16", "i16": "int16"}[source]
    bits = 1 << 8 * np.dtype(kind).itemsize if source != "bool" else 2
    every = np.arange(bits).astype(kind)
    if source == "bool":
        every = np.tile(every, 301)
    x = tl.from_numpy(every)
    want = tl.from_numpy(every.astype("float64")).to(target).to("f64").numpy()
    np.testing.assert_array_equal(x.to(target).to("f64").numpy(), want)
    pairs = x[: len(every) // 2 * 2].reshape(2, -1)
    for view, order in (
        (pairs.t(), want.reshape(2, -1).T),
        (pairs[:, ::3], want.reshape(2, -1)[:, ::3]),
    ):
        np.testing.assert_array_equal(view.to(target).to("f64").numpy(), order)
    if source == "bool":  # bytes that other libraries call true
        odd = tl.from_buffer(bytes([0, 2, 255, 1] * 20), "bool", (80,))
        np.testing.assert_array_equal(odd.to(target).to("f32").numpy(), [0, 1, 1, 1] * 20)
