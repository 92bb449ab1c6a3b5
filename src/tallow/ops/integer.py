"""Products and convolutions of 8-bit integers with zero points, summed in 32 bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtype import DType, as_dtype, f32, f64, i8, i32, u8
from ..errors import DTypeError, expect
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor
from .elementwise_ternary import where

RANGES = {u8: (0, 255), i8: (-128, 127)}


def ended(
    sums: Tensor, scale: Tensor | None, bias: Tensor | None, zero: Tensor | None, dtype: DType
) -> Tensor:
    """int32 sums as they are, as `sums * scale + bias` in f32, or rounded to 8 bits.

    Rounded, they are `round((sums + bias) * scale) + zero`, halves to even, within the range of the
    dtype; `bias` is an i32 tensor then.
    """
    if dtype is i32:
        return sums
    assert scale is not None
    if dtype is f32:
        found = sums.to(f32) * scale
        return found if bias is None else found + bias
    if bias is not None:
        sums = sums + bias
    found = (sums.to(f32) * scale).round()
    if zero is not None:
        found = found + zero.to(f32)
    return found.clamp(*RANGES[dtype]).to(dtype)


def _without(x: Tensor, zero: Tensor | None) -> Tensor:
    return x.to(i32) if zero is None else x.to(i32) - zero.to(i32)


def _check(where: Any, tensors: Sequence[Tensor], dtype: Any) -> None:
    for x in tensors:
        unwrap_tensor(x, where)
        expect(x.dtype in RANGES, where, "u8 or i8", x.dtype.name, DTypeError)
    known = as_dtype(dtype) in (i32, f32, u8, i8)
    expect(known, where, "a result of i32, f32, u8 or i8", as_dtype(dtype).name, DTypeError)


@op(name="nn.quantize_dynamic")
def quantize_dynamic(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`x` as u8 with the scale and zero point that put its range, with 0, on 0 … 255; and these.

    The scale is `(max - min) / 255`, or 1; the zero point, and what is `x / scale`, are rounded,
    halves to even. Elements that are NaN, or beside one, have no meaning as u8.
    """
    low, high = x.amin().clamp(max=0.0), x.amax().clamp(min=0.0)
    span = high - low
    scale = where(span == 0, 1.0, span / 255.0)
    zero = (-low / scale).round().clamp(0, 255)
    return ((x / scale).round() + zero).clamp(0, 255).to(u8), scale, zero.to(u8)


@quantize_dynamic.check
def _(x: Tensor) -> None:
    unwrap_tensor(x, quantize_dynamic)
    expect(x.numel() > 0, quantize_dynamic, "elements", x.shape)


@quantize_dynamic.out
def _(x: Tensor) -> Any:
    return [(x.shape, u8), ((), x.dtype), ((), u8)]


@quantize_dynamic.kernel("quantize_dynamic", dtypes=(f32,))
def _(x: Tensor) -> tuple[Any, ...]:
    return (x.contiguous(),)


@op(name="nn.int8_columns")
def int8_columns(b: Tensor, zero: Tensor | None) -> Tensor:
    """A matrix of u8 or i8 (k, n) as `nn.matmul_int8` takes it as `packed`: bytes of no meaning.

    They are those of this process's instruction set. `zero` as that op's `b_zero`.
    """
    ...


@int8_columns.out
def _(b: Tensor, zero: Tensor | None) -> Any:
    panels, units = -(-b.shape[1] // 16), -(-b.shape[0] // 32)
    return (panels * (512 + 1024 * units),), u8  # of any instruction set


@int8_columns.kernel("int8_columns")
def _(b: Tensor, zero: Tensor | None) -> tuple[Any, ...]:
    return b.contiguous(), _flat(zero)


@op(name="nn.int8_rows")
def int8_rows(weight: Tensor, zero: Tensor | None, groups: int) -> Tensor:
    """The weight of a convolution as `nn.conv_int8` takes it as `packed`: bytes of no meaning.

    They are those of this process's instruction set. `zero` as that op's `weight_zero`.
    """
    ...


@int8_rows.out
def _(weight: Tensor, zero: Tensor | None, groups: int) -> Any:
    rows, units = weight.shape[0] // groups + 3, -(-math.prod(weight.shape[1:]) // 32)
    return (groups * (rows * (64 * units + 4) + 64),), u8  # of any instruction set


@int8_rows.kernel("int8_rows")
def _(weight: Tensor, zero: Tensor | None, groups: int) -> tuple[Any, ...]:
    return weight.contiguous().flatten(1), _flat(zero), groups


@op(name="nn.matmul_int8")
def matmul_int8(
    a: Tensor, b: Tensor, a_zero: Tensor | None, b_zero: Tensor | None, scale: Tensor | None,
    bias: Tensor | None, zero: Tensor | None, dtype: DType | str, packed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`(a - a_zero) @ (b - b_zero)` of u8 and i8 tensors, exact in 32 bits (modulo 2**32).

    Shapes: a (…, m, k), b (…, k, n); a_zero one element or (…, m, 1), b_zero one or (…, n). `dtype`
    i32 gives the sums; f32 `sums * scale + bias`; u8 and i8 `round((sums + bias) * scale) + zero`
    within their range, where bias is i32. scale is one element or (n,), bias (n,), zero one.
    `packed` is what `nn.int8_columns` made of b and b_zero.
    """
    return ended(_without(a, a_zero) @ _without(b, b_zero), scale, bias, zero, as_dtype(dtype))


@matmul_int8.check
def _(a: Tensor, b: Tensor, *params: Any) -> None:
    _check(matmul_int8, (a, b), params[5])
    fits = a.ndim >= 2 and b.ndim >= 2 and a.shape[-1] == b.shape[-2]
    expect(fits, matmul_int8, "matrices (…, m, k) and (…, k, n)", f"{a.shape} and {b.shape}")


@matmul_int8.out
def _(a: Tensor, b: Tensor, *params: Any) -> Any:
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], matmul_int8)
    return (*batch, a.shape[-2], b.shape[-1]), as_dtype(params[5])


def _flat(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous().reshape(-1)


def _narrow(*xs: Tensor | None) -> bool:
    """Whether tensors have one element, or one along the last axis alone."""
    return all(x is None or x.numel() == 1 or x.shape[-1] == x.numel() for x in xs)


def _ends(scale: Tensor | None, bias: Tensor | None, zero: Tensor | None) -> tuple[Any, ...]:
    return _flat(scale), _flat(bias), _flat(zero)


def _fits(
    a: Tensor, b: Tensor, a_zero: Tensor | None, b_zero: Tensor | None, scale: Tensor | None,
    bias: Tensor | None, zero: Tensor | None, dtype: DType | str, packed: Tensor | None = None,
) -> bool:  # fmt: skip
    many = a_zero is not None and a_zero.numel() > 1
    if many and (a_zero is None or a_zero.shape != (*a.shape[:-1], 1)):
        return False
    return _same(a, a_zero) and _same(b, b_zero) and _narrow(b_zero, scale, bias)


def _same(x: Tensor, zero: Tensor | None) -> bool:
    return zero is None or zero.dtype is x.dtype


@matmul_int8.kernel("matmul_int8", when=_fits)
def _(
    out: Tensor, a: Tensor, b: Tensor, a_zero: Tensor | None, b_zero: Tensor | None,
    scale: Tensor | None, bias: Tensor | None, zero: Tensor | None, dtype: DType | str,
    packed: Tensor | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    if b.ndim == 2:
        shape = (1, a.numel() // k if k else out.numel() // n if n else 0)
        b = b.unsqueeze(0)
    else:
        batch = out.shape[:-2]
        a, b = a.expand(*batch, m, k), b.expand(*batch, k, n).contiguous().reshape(-1, k, n)
        shape = (b.shape[0] if b.numel() else math.prod(batch), m)
    zeros = _flat(a_zero), _flat(b_zero)
    x = a.contiguous().reshape(*shape, k)
    return (
        out.reshape(*shape, n),
        x,
        b.contiguous(),
        *zeros,
        *_ends(scale, bias, zero),
        _flat(packed),
    )


@op(name="nn.conv_int8")
def conv_int8(
    input: Tensor, weight: Tensor, input_zero: Tensor | None, weight_zero: Tensor | None,
    scale: Tensor | None, bias: Tensor | None, zero: Tensor | None, dtype: DType | str,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
    size: Sequence[int], packed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The convolution of `input - input_zero` by `weight - weight_zero`, both u8 or i8.

    Shapes are those of `nn.convolution`: input (batch, channels, *spatial), weight (out channels,
    channels / groups, *kernel), out (batch, out channels, *size). weight_zero, scale and bias have
    one element, or one a channel of the result; `dtype` and these are as in `nn.matmul_int8`.
    `packed` is what `nn.int8_rows` made of weight and weight_zero.
    """
    from .conv import convolution

    def channels(x: Tensor | None, axes: int) -> Tensor | None:
        return x if x is None or x.numel() == 1 else x.reshape(-1, *(1,) * axes)

    # Exact: a product is below 2**16, and f32 has 24 bits, f64 has 53.
    wide = f32 if math.prod(weight.shape[1:]) <= 256 else f64
    x = _without(input, input_zero).to(wide)
    w = _without(weight, channels(weight_zero, weight.ndim - 1)).to(wide)
    sums = convolution(x, w, None, stride, padding, dilation, groups, size).to(i32)
    n = len(size)
    return ended(sums, channels(scale, n), channels(bias, n), zero, as_dtype(dtype))


@conv_int8.check
def _(input: Tensor, weight: Tensor, *params: Any) -> None:
    _check(conv_int8, (input, weight), params[5])
    groups = params[9]
    fits = (
        input.ndim >= 3 and weight.ndim == input.ndim and input.shape[1] == weight.shape[1] * groups
    )
    text = f"an input (batch, channels, …) for a weight {weight.shape} and groups {groups}"
    expect(fits, conv_int8, text, input.shape)


@conv_int8.out
def _(input: Tensor, weight: Tensor, *params: Any) -> Any:
    return (input.shape[0], weight.shape[0], *params[10]), as_dtype(params[5])


def _planar(
    input: Tensor, weight: Tensor, input_zero: Tensor | None, weight_zero: Tensor | None,
    *_params: Any,
) -> bool:  # fmt: skip
    one = input_zero is None or input_zero.numel() == 1
    if weight.shape[1] == 1 and math.prod(weight.shape[1:]) <= 256:
        return False  # depthwise: exact in floats, whose kernel is made for it
    return input.ndim <= 4 and one and _same(input, input_zero) and _same(weight, weight_zero)


@conv_int8.kernel("conv_int8", when=_planar)
def _(
    out: Tensor, input: Tensor, weight: Tensor, input_zero: Tensor | None,
    weight_zero: Tensor | None, scale: Tensor | None, bias: Tensor | None, zero: Tensor | None,
    dtype: DType | str, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, size: Sequence[int], packed: Tensor | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    from .conv import numbers

    arrays = [out, input.contiguous(), weight.contiguous()]
    if input.ndim == 3:  # of one axis: of height 1
        arrays = [x.unsqueeze(2) for x in arrays]
    zeros = _flat(input_zero), _flat(weight_zero)
    ends = *_ends(scale, bias, zero), _flat(packed)
    return *arrays, *zeros, *ends, *numbers(stride, padding, dilation, groups)
