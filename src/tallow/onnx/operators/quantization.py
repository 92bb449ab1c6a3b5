"""Quantisation to integers and small floats, and products and convolutions of 8-bit integers."""

from __future__ import annotations

from typing import Any

from tallow.dtype import DType, as_dtype, f32, i32
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.formats.onnx.types import CODES, TYPES, ElementType
from tallow.onnx.operators.quantized_values import floats, rounded, spread, type_of, whole
from tallow.onnx.operators.table import operator
from tallow.ops.integer import RANGES, conv_int8, ended, matmul_int8, quantize_dynamic
from tallow.tensor import Tensor

# --- to and from quantised types ------------------------------------------------------------------


def _target(zero: Any, output_dtype: int, where: str) -> ElementType:
    """The element type of a result: the zero point's, the attribute's, or uint8."""
    if output_dtype:
        expect(output_dtype in TYPES, where, "a known output_dtype", output_dtype, ArgumentError)
        kind = TYPES[output_dtype]
        same = zero is None or type_of(zero) is kind
        expect(same, where, f"a zero point of {kind.name}", zero is None or type_of(zero).name)
        return kind
    return TYPES[CODES["uint8"]] if zero is None else type_of(zero)


def _float_dtype(code: int, where: str) -> DType:
    known = code in TYPES and TYPES[code].dtype is not None
    expect(known, where, "float, float16 or bfloat16", code, DTypeError)
    return as_dtype(TYPES[code].dtype or "")


def _quantized(
    x: Any, scale: Any, zero: Any, axis: int, block: int, kind: ElementType, saturate: int,
    precision: int,
) -> Any:  # fmt: skip
    where = "QuantizeLinear"
    if precision:
        wide = _float_dtype(precision, where)
    elif isinstance(scale, Tensor) and scale.dtype.kind == "f":
        wide = scale.dtype
    else:  # scales of whole numbers, or of powers of two
        wide = f32
    scales = spread(floats(scale, wide), x, axis, block, where)
    if zero is not None and kind.name.startswith(("int", "uint")):
        zero = spread(floats(zero), x, axis, block, where)
    return rounded(floats(x, wide) / scales, zero, kind, bool(saturate))


@operator("QuantizeLinear", 10, 12, host=True)
def quantize_linear_10(x: Any, y_scale: Any, y_zero_point: Any = None) -> Any:
    """Round `x / y_scale` to the zero point's type, one scale for all."""
    kind = _target(y_zero_point, 0, "QuantizeLinear")
    return _quantized(x, y_scale, y_zero_point, 1, 0, kind, 1, 0)


@operator("QuantizeLinear", 13, host=True)
def quantize_linear(
    x: Any, y_scale: Any, y_zero_point: Any = None, *, axis: int = 1, block_size: int = 0,
    output_dtype: int = 0, precision: int = 0, saturate: int = 1,
) -> Any:  # fmt: skip
    """Round `x / y_scale`, with a scale for all, for each index of an axis, or for each block."""
    kind = _target(y_zero_point, output_dtype, "QuantizeLinear")
    return _quantized(x, y_scale, y_zero_point, axis, block_size, kind, saturate, precision)


@operator("DequantizeLinear", 10, 12, host=True)
def dequantize_linear_10(x: Any, x_scale: Any, x_zero_point: Any = None) -> Tensor:
    """`(x - x_zero_point) * x_scale`, one scale for all."""
    return dequantize_linear(x, x_scale, x_zero_point)


@operator("DequantizeLinear", 13, host=True)
def dequantize_linear(
    x: Any, x_scale: Any, x_zero_point: Any = None, *, axis: int = 1, block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:  # fmt: skip
    """`(x - x_zero_point) * x_scale`, a scale for all, each index of an axis, or each block."""
    where = "DequantizeLinear"
    if output_dtype:
        wide = _float_dtype(output_dtype, where)
    else:
        wide = x_scale.dtype if isinstance(x_scale, Tensor) else f32
    scales = spread(floats(x_scale, wide), x, axis, block_size, where)
    if type_of(x).name.startswith(("int", "uint")):
        values = whole(x)
        if x_zero_point is not None:
            values = values - spread(whole(x_zero_point), x, axis, block_size, where)
        return values.to(wide) * scales
    return floats(x, wide) * scales


@operator("DynamicQuantizeLinear", 11)
def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`x` as uint8 with the scale and zero point that its range asks for, and these."""
    return quantize_dynamic(x)


# --- products -------------------------------------------------------------------------------------


def row_zero(zero: Tensor | None, a: Tensor) -> Tensor | None:
    """The zero points of a matrix's rows: one, or (…, m, 1)."""
    if zero is None or zero.numel() == 1:
        return None if zero is None else zero.reshape(())
    return zero.unsqueeze(-1) if zero.ndim == 1 else zero


def product(
    a: Tensor, b: Tensor, a_zero: Tensor | None, b_zero: Tensor | None, *,
    scale: Tensor | None = None, bias: Tensor | None = None, zero: Tensor | None = None,
    dtype: DType = i32, packed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`nn.matmul_int8` for operands of any rank, as numpy's matmul takes them."""
    left, right = a.ndim == 1, b.ndim == 1
    if left:
        a = a.unsqueeze(0)
    if right:
        b = b.unsqueeze(-1)
    if b_zero is not None and b_zero.numel() == 1:
        b_zero = b_zero.reshape(())
    zeros = row_zero(a_zero, a), b_zero
    found = matmul_int8(a, b, *zeros, scale, bias, zero, dtype, packed)
    if right:
        found = found.squeeze(-1)
    return found.squeeze(-1 if right else -2) if left else found


@operator("MatMulInteger", 10)
def matmul_integer(
    A: Tensor, B: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None
) -> Tensor:
    """The product of 8-bit matrices without their zero points, as int32."""
    return product(A, B, a_zero_point, b_zero_point)


@operator("QLinearMatMul", 10)
def qlinear_matmul(
    a: Tensor, a_scale: Tensor, a_zero_point: Tensor, b: Tensor, b_scale: Tensor,
    b_zero_point: Tensor, y_scale: Tensor, y_zero_point: Tensor,
) -> Any:  # fmt: skip
    """The product of quantised matrices, quantised."""
    a_scales, b_scales = row_zero(a_scale, a), b_scale
    assert a_scales is not None
    if b_scales.numel() == 1:
        b_scales = b_scales.reshape(())
    scale = (a_scales.to(f32) * b_scales.to(f32)) / y_scale.to(f32).reshape(())
    kind = y_zero_point.dtype
    if a.dtype in RANGES and b.dtype in RANGES and kind in RANGES:
        zero = y_zero_point.reshape(())
        if scale.ndim <= 1:
            return product(a, b, a_zero_point, b_zero_point, scale=scale, zero=zero, dtype=kind)
        return ended(product(a, b, a_zero_point, b_zero_point), scale, None, zero, kind)
    return rounded(a.to(f32) @ b.to(f32) * scale, None, type_of(y_zero_point))


# --- convolutions ---------------------------------------------------------------------------------


def conv_sizes(
    x: Tensor, w: Tensor, auto_pad: str, dilations: list[int] | None, kernel_shape: Any,
    pads: list[int] | None, strides: list[int] | None, where: str,
) -> tuple[list[int], list[int], list[int], list[int]]:  # fmt: skip
    """Strides, paddings before, dilations and result lengths of a convolution's spatial axes."""
    n = x.ndim - 2
    expect(n >= 1 and w.ndim == x.ndim, where, "an input and a weight of equal rank", w.shape)
    kernel = list(w.shape[2:])
    text = f"kernel_shape {kernel}, as the weight has"
    expect(not kernel_shape or list(kernel_shape) == kernel, where, text, kernel_shape)
    strides, dilations = strides or [1] * n, dilations or [1] * n
    pads = pads or [0] * 2 * n
    counts = [len(strides), len(dilations), len(pads)]
    expect(counts == [n, n, 2 * n], where, f"attributes for {n} axes", counts, ArgumentError)
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    before, sizes = pads[:n], []
    for i, (length, span, s) in enumerate(zip(x.shape[2:], spans, strides, strict=True)):
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            out = -(-length // s)
            total = max((out - 1) * s + span - length, 0)
            before[i] = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        else:
            if auto_pad == "VALID":
                before[i] = pads[n + i] = 0
            out = (length + before[i] + pads[n + i] - span) // s + 1
        sizes.append(out)
    expect(min(sizes) > 0, where, "an input as large as the kernel", x.shape)
    return strides, before, dilations, sizes


def _one(x: Tensor | None) -> Tensor | None:
    return x.reshape(()) if x is not None and x.numel() == 1 else x


@operator("ConvInteger", 10)
def conv_integer(
    x: Tensor, w: Tensor, x_zero_point: Tensor | None = None, w_zero_point: Tensor | None = None,
    *, auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The convolution of 8-bit tensors without their zero points, as int32."""
    where = "ConvInteger"
    s, p, d, size = conv_sizes(x, w, auto_pad, dilations, kernel_shape, pads, strides, where)
    zeros = _one(x_zero_point), _one(w_zero_point)
    return conv_int8(x, w, *zeros, None, None, None, i32, s, p, d, group, size)


@operator("QLinearConv", 10)
def qlinear_conv(
    x: Tensor, x_scale: Tensor, x_zero_point: Tensor, w: Tensor, w_scale: Tensor,
    w_zero_point: Tensor, y_scale: Tensor, y_zero_point: Tensor, B: Tensor | None = None, *,
    auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The convolution of quantised tensors, plus an int32 bias, quantised."""
    return packed_qlinear_conv(
        x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B,
        auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
        strides=strides,
    )  # fmt: skip


@operator("QLinearConv", domain="tallow")
def packed_qlinear_conv(
    x: Tensor, x_scale: Tensor, x_zero_point: Tensor, w: Tensor, w_scale: Tensor,
    w_zero_point: Tensor, y_scale: Tensor, y_zero_point: Tensor, B: Tensor | None = None,
    packed: Tensor | None = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """`QLinearConv` with its weight as the kernel takes it besides."""
    where = "QLinearConv"
    s, p, d, size = conv_sizes(x, w, auto_pad, dilations, kernel_shape, pads, strides, where)
    w_scales = w_scale.reshape(()) if w_scale.numel() == 1 else w_scale
    scale = x_scale.reshape(()) * w_scales / y_scale.reshape(())
    return conv_int8(
        x, w, _one(x_zero_point), _one(w_zero_point), scale, B, _one(y_zero_point),
        y_zero_point.dtype, s, p, d, group, size, packed,
    )  # fmt: skip
