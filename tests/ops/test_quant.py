"""The rows quantize and dequantize, and `to` of a block dtype: arguments, errors, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.dtype import DTYPES, by_name
from tallow.errors import ArgumentError, DTypeError, GradError, ShapeError
from tallow.tensor import tobytes

BLOCKS = [dtype.name for dtype in DTYPES if dtype.kind == "q"]


def drawn(*shape: int, dtype: str = "f32") -> tl.Tensor:
    x = np.random.RandomState(3).standard_normal(shape).astype(np.float32)
    return tl.from_numpy(x).to(dtype)


def same_blocks(a: tl.Tensor, b: tl.Tensor) -> bool:
    return (a.dtype, a.shape, tobytes(a)) == (b.dtype, b.shape, tobytes(b))


@pytest.mark.parametrize("name", BLOCKS)
def test_to_is_quantize(name):
    x = drawn(3, 512)
    packed = tl.ops.quantize(x, name)
    assert packed.dtype.name == name and packed.shape == x.shape
    assert same_blocks(x.to(name), packed)
    assert same_blocks(x.quantize(by_name(name)), packed)
    assert packed.dequantize().tolist() == packed.to("f32").tolist()
    assert packed.dequantize("f16").tolist() == packed.to("f16").tolist()
    out = tl.zeros(3, 512).to(name)
    out.copy_(x)
    assert same_blocks(out, packed)


@pytest.mark.parametrize("source", ["f16", "bf16", "f64", "f8e4m3", "q8_0", "q4_k", "iq4_xs"])
@pytest.mark.parametrize("name", ["q4_0", "q6_k", "iq3_s", "mxfp4"])
def test_every_source_goes_by_way_of_f32(name, source):
    x = drawn(2, 512).to(source)
    if source == name:
        return
    assert same_blocks(x.to(name), x.to("f32").to(name))
    assert same_blocks(tl.ops.quantize(x, name), x.to("f32").to(name))


def test_any_layout():
    x = drawn(256, 6)
    wanted = x.T.contiguous().to("q5_k")
    assert same_blocks(x.T.to("q5_k"), wanted)
    assert same_blocks(tl.ops.quantize(x.T, "q5_k"), wanted)
    wide = drawn(4, 1024)
    assert same_blocks(wide[::2, ::2].to("q2_k"), wide[::2, ::2].contiguous().to("q2_k"))
    importance = drawn(512).abs()
    packed = tl.ops.quantize(wide[:, ::2], "q2_k", importance[::1])
    assert same_blocks(packed, tl.ops.quantize(wide[:, ::2].contiguous(), "q2_k", importance))


def test_importance_of_a_stack_of_matrices():
    x, importance = drawn(3, 4, 256), drawn(3, 256).abs()
    packed = tl.ops.quantize(x, "q3_k", importance)
    for i in range(3):
        alone = tl.ops.quantize(x[i], "q3_k", importance[i])
        assert same_blocks(packed[i], alone)
    shared = tl.ops.quantize(x, "q3_k", importance[0].to("f16").to("f64"))
    assert same_blocks(shared[2], tl.ops.quantize(x[2], "q3_k", importance[0].to("f16")))


def test_importance_matters():
    x = drawn(8, 512)
    importance = tl.ones(512)
    importance[::4] = 100.0  # one in each group of a sub-block
    plain, weighted = (tl.ops.quantize(x, "q2_k", w).dequantize() for w in (None, importance))
    first = [((y - x)[:, ::4] ** 2).sum().item() for y in (plain, weighted)]
    assert first[1] < 0.8 * first[0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: tl.ops.quantize(x, "f16"), DTypeError, "expected a block dtype, got f16"),
        (lambda x: tl.ops.quantize(x, "q9"), DTypeError, "got 'q9'"),
        (lambda x: tl.ops.quantize(x.to("i32"), "q8_0"), DTypeError, "a float tensor, got i32"),
        (lambda x: tl.ops.quantize(x.to("bool"), "q8_0"), DTypeError, "a float tensor, got bool"),
        (lambda x: x.to("complex64").to("q8_0"), DTypeError, "expected a real dtype"),
        (lambda x: tl.ops.quantize(x[:, :100], "q8_0"), ShapeError, r"multiple of 32 .*\(2, 100\)"),
        (lambda x: x[:, :96].to("q6_k"), ShapeError, "multiple of 256"),
        (lambda x: tl.ops.quantize(x.sum(), "q8_0"), ShapeError, "last axis"),
        (
            lambda x: tl.ops.quantize(x, "q8_0", tl.ones(512)),
            ShapeError,
            r"importance of shape \(256,\), got \(512,\)",
        ),
        (
            lambda x: tl.ops.quantize(x.reshape(2, 1, 256), "q8_0", tl.ones(3, 256)),
            ShapeError,
            r"importance of shape \(256,\) or \(2, 256\)",
        ),
        (
            lambda x: tl.ops.quantize(x, "q8_0", tl.ones(256, dtype=tl.i64)),
            DTypeError,
            "importance of a float dtype, got i64",
        ),
        (
            lambda x: tl.ops.quantize(x, "q8_0", -tl.ones(256)),
            ArgumentError,
            "an importance is negative",
        ),
        (lambda x: (x / 0).to("q4_k"), ArgumentError, "x holds NaN or infinity"),
        (lambda x: (x * 1e30).to("q4_0"), ArgumentError, "beyond the range"),
        (lambda x: tl.ops.dequantize(x), DTypeError, "a tensor in a block dtype, got f32"),
        (lambda x: tl.ops.dequantize(x.to("q8_0"), "i32"), DTypeError, "a float dtype, got i32"),
    ],
)
def test_what_has_no_meaning_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(drawn(2, 256))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tl.ops.quantize(x, "q8_0"),
        lambda x: x.to("q8_0"),
        lambda x: tl.ops.cast(x, "q4_k"),
    ],
)
def test_no_gradient_is_lost_silently(call):
    x = drawn(2, 256).requires_grad_()
    for tensor in (x, x * 2):
        with pytest.raises(GradError, match=r"without gradient.*use \.detach\(\)"):
            call(tensor)
    with tl.no_grad():
        assert not call(x).requires_grad
    assert same_blocks(call(x.detach()), call(drawn(2, 256)))


@pytest.mark.parametrize("name", ["q4_0", "q6_k", "iq3_s"])
@pytest.mark.parametrize("exact", [False, True])
def test_products_take_rows_of_any_stride(name, exact):
    weight, x = drawn(3, 256).to(name), drawn(256, 5)
    wanted = tl.ops.linear(x.t().contiguous(), weight, exact=exact).tolist()
    for _ in range(4):
        assert tl.ops.linear(x.t(), weight, exact=exact).tolist() == wanted
    one = x[:, 2]
    assert tl.ops.linear(one, weight, exact=exact).tolist() == wanted[2]
