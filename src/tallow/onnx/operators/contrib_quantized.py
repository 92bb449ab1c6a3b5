"""Operators of the domain com.microsoft on quantised tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.dtype import f32, i32
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.contrib import embed_layer_normalization, microsoft
from tallow.onnx.operators.contrib_attention import layer_attention
from tallow.onnx.operators.pool import average_pool, max_pool
from tallow.onnx.operators.quantization import (
    dequantize_linear,
    product,
    qlinear_conv,
    quantize_linear,
)
from tallow.onnx.operators.quantized_values import rounded, type_of
from tallow.onnx.operators.table import operator
from tallow.ops.integer import quantize_dynamic
from tallow.tensor import Tensor

# --- there and back -------------------------------------------------------------------------------


@microsoft("QuantizeLinear", host=True)
def microsoft_quantize(
    x: Any, y_scale: Any, y_zero_point: Any = None, *, axis: int = 1, block_size: int = 0
) -> Any:
    """QuantizeLinear, before the standard had all of its types."""
    return quantize_linear(x, y_scale, y_zero_point, axis=axis, block_size=block_size)


@microsoft("DequantizeLinear", host=True)
def microsoft_dequantize(
    x: Any, x_scale: Any, x_zero_point: Any = None, *, axis: int = 1, block_size: int = 0
) -> Tensor:
    """DequantizeLinear, before the standard had all of its types."""
    return dequantize_linear(x, x_scale, x_zero_point, axis=axis, block_size=block_size)


def _back(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    return dequantize_linear(x, scale.reshape(()), None if zero is None else zero.reshape(()))


def _there(x: Tensor, scale: Tensor, zero: Tensor | None, like: Tensor) -> Any:
    kind = type_of(like if zero is None else zero)
    return rounded(x / scale.reshape(()), None if zero is None else zero.reshape(()), kind)


def _binary(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @microsoft(name)
    def row(
        a: Tensor, a_scale: Tensor, a_zero: Tensor | None, b: Tensor, b_scale: Tensor,
        b_zero: Tensor | None, c_scale: Tensor, c_zero: Tensor | None = None,
    ) -> Any:  # fmt: skip
        found = function(_back(a, a_scale, a_zero), _back(b, b_scale, b_zero))
        return _there(found, c_scale, c_zero, a)


_binary("QLinearAdd", lambda a, b: a + b)
_binary("QLinearMul", lambda a, b: a * b)


@microsoft("QLinearSigmoid")
def qlinear_sigmoid(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor | None = None
) -> Any:
    """The sigmoid, quantised."""
    return _there(_back(x, x_scale, x_zero).sigmoid(), y_scale, y_zero, x)


@microsoft("QLinearLeakyRelu")
def qlinear_leaky_relu(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor,
    y_zero: Tensor | None = None, *, alpha: float = 0.01,
) -> Any:  # fmt: skip
    """The leaky ReLU, quantised."""
    return _there(ops.leaky_relu(_back(x, x_scale, x_zero), alpha), y_scale, y_zero, x)


@microsoft("QLinearSoftmax")
def qlinear_softmax(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor, *,
    opset_: int, axis: int = -1,
) -> Any:  # fmt: skip
    """The softmax as an opset of the standard has it, quantised."""
    values = _back(x, x_scale, x_zero)
    if opset_ < 13:
        axis %= x.ndim
        flat = values.reshape(values.shape[:axis].numel() if axis else 1, -1)
        return _there(flat.softmax(-1).reshape(x.shape), y_scale, y_zero, x)
    return _there(values.softmax(axis), y_scale, y_zero, x)


@microsoft("QLinearConcat")
def qlinear_concat(y_scale: Tensor, y_zero: Tensor, *xs: Tensor, axis: int) -> Any:
    """Tensors with a scale and a zero point each, joined in one scale."""
    where = "QLinearConcat"
    expect(bool(xs) and len(xs) % 3 == 0, where, "three inputs a tensor", len(xs), ArgumentError)
    parts = [_there(_back(*xs[i : i + 3]), y_scale, y_zero, y_zero) for i in range(0, len(xs), 3)]
    return ops.cat(parts, axis)


@microsoft("QLinearWhere")
def qlinear_where(
    condition: Tensor, x: Tensor, x_scale: Tensor, x_zero: Tensor, y: Tensor, y_scale: Tensor,
    y_zero: Tensor, z_scale: Tensor, z_zero: Tensor,
) -> Any:  # fmt: skip
    """Elements of one or the other, in one scale."""
    a = _there(_back(x, x_scale, x_zero), z_scale, z_zero, x)
    b = _there(_back(y, y_scale, y_zero), z_scale, z_zero, x)
    return ops.where(condition, a, b)


@microsoft("QLinearReduceMean")
def qlinear_reduce_mean(
    data: Tensor, data_scale: Tensor, data_zero: Tensor | None, reduced_scale: Tensor,
    reduced_zero: Tensor | None = None, *, axes: list[int], keepdims: int,
) -> Any:  # fmt: skip
    """The means over axes, quantised."""
    mean = _back(data, data_scale, data_zero).mean(tuple(axes), keepdim=bool(keepdims))
    return _there(mean, reduced_scale, reduced_zero, data)


@microsoft("QLinearGlobalAveragePool")
def qlinear_global_average_pool(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor, *,
    channels_last: int = 0,
) -> Any:  # fmt: skip
    """The mean of each plane, quantised."""
    axes = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    return _there(_back(x, x_scale, x_zero).mean(axes, keepdim=True), y_scale, y_zero, x)


@microsoft("QLinearAveragePool")
def qlinear_average_pool(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor,
    y_zero: Tensor | None = None, *, kernel_shape: list[int], auto_pad: str = "NOTSET",
    ceil_mode: int = 0, channels_last: int = 0, count_include_pad: int = 0, pads: Any = None,
    strides: Any = None,
) -> Any:  # fmt: skip
    """The means of windows, quantised."""
    values = _back(x, x_scale, x_zero)
    values = values.movedim(-1, 1) if channels_last else values
    found = average_pool(
        values, kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, pads=pads, strides=strides,
    )  # fmt: skip
    return _there(found.movedim(1, -1) if channels_last else found, y_scale, y_zero, x)


@microsoft("NhwcMaxPool")
def nhwc_max_pool(
    x: Tensor, *, kernel_shape: list[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The maxima of windows of images with channels last."""
    found = max_pool(
        x.movedim(-1, 1), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
        dilations=dilations, pads=pads, strides=strides,
    )  # fmt: skip
    out: Tensor = found[0] if isinstance(found, tuple) else found
    return out.movedim(1, -1)


@microsoft("QLinearConv")
def microsoft_qlinear_conv(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, w: Tensor, w_scale: Tensor, w_zero: Tensor,
    y_scale: Tensor, y_zero: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    channels_last: int = 0, dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The convolution of quantised tensors, whose channels may be the last axis."""
    out = qlinear_conv(
        x.movedim(-1, 1) if channels_last else x, x_scale, x_zero, w, w_scale, w_zero, y_scale,
        y_zero, b, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape,
        pads=pads, strides=strides,
    )  # fmt: skip
    return out.movedim(1, -1) if channels_last else out


# --- products -------------------------------------------------------------------------------------


def _flat(x: Tensor | None) -> Tensor | None:
    return x.reshape(()) if x is not None and x.numel() == 1 else x


@microsoft("MatMulIntegerToFloat")
def matmul_integer_to_float(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, a_zero: Tensor | None = None,
    b_zero: Tensor | None = None, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The product of 8-bit matrices as floats, plus a bias."""
    return packed_matmul(a, b, a_scale, b_scale, a_zero, b_zero, bias)


@operator("MatMulIntegerToFloat", domain="tallow")
def packed_matmul(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, a_zero: Tensor | None = None,
    b_zero: Tensor | None = None, bias: Tensor | None = None, packed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`MatMulIntegerToFloat` with its second matrix as the kernel takes it besides."""
    scales = _flat(b_scale)
    assert scales is not None
    scale = a_scale.reshape(()) * scales
    return product(
        a, b, _flat(a_zero), _flat(b_zero), scale=scale, bias=bias, dtype=f32, packed=packed
    )


@microsoft("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(
    a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """`a`, rounded to 8 bits with the scale that its range asks for, by an 8-bit matrix."""
    whole, scale, zero = quantize_dynamic(a)
    return matmul_integer_to_float(whole, b, scale, b_scale, zero, b_zero, bias)


@microsoft("QGemm")
def qgemm(
    a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor,
    c: Tensor | None = None, y_scale: Tensor | None = None, y_zero: Tensor | None = None, *,
    alpha: float = 1.0, transA: int = 0, transB: int = 0,
) -> Any:  # fmt: skip
    """`alpha * a @ b + c` of 8-bit matrices and an int32 bias; floats where y has no scale."""
    scales = _flat(b_scale)
    assert scales is not None
    scale = a_scale.reshape(()) * scales * alpha
    left, right = a.t() if transA else a, b.t() if transB else b
    sums = product(left, right, _flat(a_zero), _flat(b_zero))
    if c is not None:
        sums = sums + c.to(i32)
    if y_scale is None or y_zero is None:
        return sums.to(f32) * scale
    return rounded(sums.to(f32) * (scale / y_scale.reshape(())), y_zero, type_of(y_zero))


@microsoft("QAttention")
def qattention(
    input: Tensor, weight: Tensor, bias: Tensor, input_scale: Tensor, weight_scale: Tensor,
    mask_index: Tensor | None = None, input_zero: Tensor | None = None,
    weight_zero: Tensor | None = None, past: Tensor | None = None, *, num_heads: int,
    do_rotary: int = 0, mask_filter_value: float = -10000.0, past_present_share_buffer: int = 0,
    scale: float | None = None, unidirectional: int = 0, wanted: tuple[bool, ...],
) -> tuple[Tensor, ...]:  # fmt: skip
    """Attention whose projection is of 8-bit matrices."""
    plain = not do_rotary and not past_present_share_buffer
    expect(plain, "QAttention", "no do_rotary and no shared buffer", "one", ArgumentError)
    projected = matmul_integer_to_float(
        input, weight, input_scale, weight_scale, input_zero, weight_zero, bias
    )
    return layer_attention(
        projected, mask_index, past, None, num_heads=num_heads, qkv_hidden_sizes=None,
        unidirectional=unidirectional, mask_filter_value=mask_filter_value, scale=scale,
        where="QAttention",
    )[: len(wanted)]  # fmt: skip


@microsoft("QEmbedLayerNormalization")
def qembed_layer_normalization(
    input_ids: Tensor, segment_ids: Tensor | None, words: Tensor, positions: Tensor,
    segments: Tensor | None, gamma: Tensor, beta: Tensor, mask: Tensor | None, words_scale: Tensor,
    positions_scale: Tensor, segments_scale: Tensor | None, gamma_scale: Tensor,
    beta_scale: Tensor, words_zero: Tensor, positions_zero: Tensor, segments_zero: Tensor | None,
    gamma_zero: Tensor, beta_zero: Tensor, *, epsilon: float = 1e-12, wanted: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """`EmbedLayerNormalization` of 8-bit tables."""
    kinds = None
    if segments is not None and segments_scale is not None:
        kinds = _back(segments, segments_scale, segments_zero)
    return embed_layer_normalization(
        input_ids, segment_ids, _back(words, words_scale, words_zero),
        _back(positions, positions_scale, positions_zero), kinds,
        _back(gamma, gamma_scale, gamma_zero), _back(beta, beta_scale, beta_zero), mask,
        epsilon=epsilon, wanted=wanted,
    )  # fmt: skip
