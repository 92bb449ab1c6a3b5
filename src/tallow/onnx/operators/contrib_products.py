"""Products and convolutions of the domain com.microsoft, with ends and with packed weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.dtype import f32, i32, i64
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.contrib import microsoft
from tallow.onnx.operators.quantization import conv_sizes
from tallow.onnx.operators.quantized_values import floats, whole
from tallow.ops.conv import convolution
from tallow.tensor import Tensor

# Activations by their names, with their parameters in the order of `activation_params`.
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "": lambda x: x,
    "Relu": ops.relu,
    "Tanh": ops.tanh,
    "Sigmoid": ops.sigmoid,
    "Elu": lambda x, alpha=1.0: ops.elu(x, alpha),
    "Softplus": lambda x: ops.softplus(x),
    "Softsign": ops.softsign,
    "LeakyRelu": lambda x, alpha=0.01: ops.leaky_relu(x, alpha),
    "ThresholdedRelu": lambda x, alpha=1.0: ops.where(x > alpha, x, 0.0),
    "Clip": lambda x, low, high: x.clamp(low, high),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (x * alpha + beta).clamp(0.0, 1.0),
    "HardSwish": lambda x, alpha=1 / 6, beta=0.5: x * (x * alpha + beta).clamp(0.0, 1.0),
    "Gelu": ops.gelu,
    "FastGelu": ops.gelu_tanh,
    "Silu": ops.silu,
}


def _activated(where: str, x: Tensor, name: str | None, params: list[float]) -> Tensor:
    known = (name or "") in _ACTIVATIONS
    expect(known, where, f"one of {', '.join(filter(None, _ACTIVATIONS))}", name, ArgumentError)
    return _ACTIVATIONS[name or ""](x, *params)


@microsoft("FusedConv")
def fused_conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None, *,
    activation: str | None = None, activation_params: Any = None, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None,
) -> Tensor:  # fmt: skip
    """A convolution, plus `z`, through an activation."""
    where = "FusedConv"
    s, p, d, size = conv_sizes(x, w, auto_pad, dilations, kernel_shape, pads, strides, where)
    out = convolution(x, w, b, s, p, d, group, size)
    if z is not None:
        out = out + z
    return _activated(where, out, activation, list(activation_params or ()))


@microsoft("NhwcConv")
@microsoft("NhwcFusedConv")
def nhwc_conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None, *,
    activation: str | None = None, activation_params: Any = None, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None,
) -> Tensor:  # fmt: skip
    """`FusedConv` of images with channels last; the weight has them second."""
    out = fused_conv(
        x.movedim(-1, 1), w, b, None if z is None else z.movedim(-1, 1), activation=activation,
        activation_params=activation_params, auto_pad=auto_pad, dilations=dilations, group=group,
        kernel_shape=kernel_shape, pads=pads, strides=strides,
    )  # fmt: skip
    return out.movedim(1, -1)


@microsoft("FusedGemm")
def fused_gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, activation: str | None = None,
    activation_alpha: float | None = None, activation_beta: float | None = None,
    activation_gamma: float | None = None, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Tensor:  # fmt: skip
    """`alpha * a @ b + beta * c` through an activation."""
    out = (a.t() if transA else a) @ (b.t() if transB else b)
    out = out if alpha == 1 else out * alpha
    if c is not None:
        out = out + (c if beta == 1 else c * beta)
    given = [v for v in (activation_alpha, activation_beta, activation_gamma) if v is not None]
    return _activated("FusedGemm", out, activation, given)


def _turned(x: Tensor, last: int, batch: int) -> Tensor:
    """A matrix as FusedMatMul's attributes say: `batch` moves the first axis before the last."""
    if batch:
        x = x.movedim(0, -2)
    return x.transpose(-1, -2) if last and x.ndim > 1 else x


@microsoft("FusedMatMul")
@microsoft("TransposeMatMul")
def fused_matmul(
    a: Tensor, b: Tensor, *, alpha: float = 1.0, transA: int = 0, transB: int = 0,
    transBatchA: int = 0, transBatchB: int = 0,
) -> Tensor:  # fmt: skip
    """`alpha * a @ b` of matrices that may be transposed."""
    out = _turned(a, transA, transBatchA) @ _turned(b, transB, transBatchB)
    return out if alpha == 1 else out * alpha


@microsoft("FusedMatMulActivation")
def fused_matmul_activation(
    a: Tensor, b: Tensor, *, activation: str, activation_alpha: float | None = None,
    activation_axis: int = -1, activation_beta: float | None = None,
    activation_gamma: float | None = None, alpha: float = 1.0, transA: int = 0, transB: int = 0,
    transBatchA: int = 0, transBatchB: int = 0,
) -> Tensor:  # fmt: skip
    """`FusedMatMul` through an activation."""
    out = fused_matmul(
        a, b, alpha=alpha, transA=transA, transB=transB, transBatchA=transBatchA,
        transBatchB=transBatchB,
    )  # fmt: skip
    if activation == "Softmax":
        return out.softmax(activation_axis)
    given = [v for v in (activation_alpha, activation_beta, activation_gamma) if v is not None]
    return _activated("FusedMatMulActivation", out, activation, given)


@microsoft("GemmFastGelu")
def gemm_fast_gelu(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """The approximation of GELU by tanh, of `x @ w + bias`."""
    out = x @ w
    return ops.gelu_tanh(out if bias is None else out + bias)


# --- weights of few bits --------------------------------------------------------------------------


def unpacked(x: Tensor, bits: int) -> Tensor:
    """The parts of bytes, those of the low bits first, along the last axis, as i32."""
    if bits == 8:
        return x.to(i32)
    shifts = [x.to(i32) // (1 << at) for at in range(0, 8, bits)]
    return (ops.stack(shifts, -1) & ((1 << bits) - 1)).flatten(-2)


def _check_bits(where: str, bits: int, block: int) -> None:
    good = bits in (2, 4, 8) and block >= 16 and block & (block - 1) == 0
    text = "2, 4 or 8 bits and blocks of a power of 2 from 16 on"
    expect(good, where, text, f"{bits} bits and blocks of {block}", ArgumentError)


@microsoft("MatMulNBits")
def matmul_nbits(
    a: Tensor, b: Tensor, scales: Tensor, zero_points: Tensor | None = None,
    g_idx: Tensor | None = None, bias: Tensor | None = None, *, K: int, N: int, block_size: int,
    bits: int = 4, accuracy_level: int = 0, weight_prepacked: int = 0,
) -> Tensor:  # fmt: skip
    """`a @ weight.T + bias`, the weight in blocks of few bits along its last axis."""
    where = "MatMulNBits"
    expect(a.shape[-1] == K, where, f"an input of {K} columns", a.shape)
    weight = nbits_weight(
        b, scales, zero_points, g_idx, K=K, N=N, block_size=block_size, bits=bits,
        weight_prepacked=weight_prepacked,
    )  # fmt: skip
    return ops.linear(a, weight.to(a.dtype), None if bias is None else bias.to(a.dtype))


def nbits_weight(
    b: Tensor, scales: Tensor, zero_points: Tensor | None, g_idx: Tensor | None, *, K: int, N: int,
    block_size: int, bits: int, weight_prepacked: int,
) -> Tensor:  # fmt: skip
    """The weight (N, K) of MatMulNBits in the scales' dtype."""
    where = "MatMulNBits"
    _check_bits(where, bits, block_size)
    expect(not weight_prepacked, where, "weight_prepacked 0", weight_prepacked, ArgumentError)
    blocks = -(-K // block_size)
    size = N * blocks * block_size * bits // 8
    if b.numel() == 0:
        return scales.new_zeros((N, K))
    text = f"{size} bytes of weights and {N * blocks} scales"
    good = b.numel() == size and scales.numel() == N * blocks
    expect(good, where, text, f"{b.numel()} and {scales.numel()}")
    values = unpacked(b.reshape(N, blocks, -1), bits)
    scale = scales.reshape(N, blocks)
    zero: Any = float(1 << (bits - 1))
    if zero_points is not None and zero_points.dtype.kind == "f":
        zero = zero_points.reshape(N, blocks)
    elif zero_points is not None:
        zero = unpacked(zero_points.reshape(N, -1), bits)[:, :blocks].to(scales.dtype)
    if g_idx is not None:  # each column has the block that it says
        at = g_idx.to(i64)
        flat = values.flatten(1)[:, :K].to(scales.dtype)
        shift = zero if isinstance(zero, float) else zero[:, at]
        return (flat - shift) * scale[:, at]
    shift = zero if isinstance(zero, float) else zero.unsqueeze(-1)
    return ((values.to(scales.dtype) - shift) * scale.unsqueeze(-1)).flatten(1)[:, :K]


@microsoft("GatherBlockQuantized", host=True)
def gather_block_quantized(
    data: Any, indices: Tensor, scales: Tensor, zero_points: Any = None, *, bits: int = 4,
    block_size: int = 128, gather_axis: int = 0, quantize_axis: int = 1,
) -> Tensor:  # fmt: skip
    """Slices of a tensor in blocks of few bits or small floats, as floats."""
    where = "GatherBlockQuantized"
    rank, shift = len(data.shape), 0
    axes = all(-rank <= v < rank for v in (gather_axis, quantize_axis))
    expect(axes, where, f"axes of {rank} axes", (gather_axis, quantize_axis), ArgumentError)
    axis, along = gather_axis % rank, quantize_axis % rank
    packed = isinstance(data, Tensor) and data.dtype.name == "u8"
    small = (not packed and "float" in str(getattr(data, "dtype", ""))) or (
        isinstance(data, Tensor) and data.dtype.kind == "f"
    )
    if packed:
        _check_bits(where, bits, block_size)
        values, shift = unpacked(data, bits), 1 << (bits - 1)
    else:
        values = floats(data) if small else whole(data)
    points: Any = shift
    if zero_points is not None:
        points = unpacked(zero_points, bits) if packed else whole(zero_points)
        points = points.narrow(along, 0, scales.shape[along])
    length = values.shape[along]
    block = block_size or length
    wanted = -(-length // block)
    expect(scales.shape[along] == wanted, where, f"{wanted} scales along the axis", scales.shape)
    return _gathered(values, points, scales, indices, axis, along, block)


def _gathered(
    values: Tensor, points: Any, scales: Tensor, indices: Tensor, axis: int, along: int, block: int
) -> Tensor:  # fmt: skip
    """Slices of `(values - points) * scales`, zeros where an index is out of range."""
    rank, length, given = values.ndim, values.shape[along], isinstance(points, Tensor)
    at = indices.to(i64)
    known = (at >= -values.shape[axis]) & (at < values.shape[axis])
    at = ops.where(known, at.remainder(values.shape[axis]), 0)
    flat = at.flatten() if at.ndim else at.reshape(1)

    def taken(x: Tensor) -> Tensor:
        return x if x.shape[axis] == 1 and axis != along else ops.index_select(x, axis, flat)

    def spread(x: Tensor) -> Tensor:
        return x.repeat_interleave(block, along).narrow(along, 0, length)

    if axis == along:
        scale, points = spread(scales), spread(points) if given else points
        scale, points = taken(scale), taken(points) if given else points
    else:
        scale = spread(taken(scales))
        points = spread(taken(points)) if given else points
    found = (taken(values) - points).to(f32) * scale.to(f32)
    kept = known.flatten().reshape([-1 if i == axis else 1 for i in range(rank)])
    found = ops.where(kept, found, 0.0)
    return found.reshape(*found.shape[:axis], *at.shape, *found.shape[axis + 1 :]).to(scales.dtype)
