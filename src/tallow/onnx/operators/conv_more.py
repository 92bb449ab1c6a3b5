"""Convolutions with offsets at each place, and with a state between calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Final

from tallow import ops
from tallow.dtype import DType, f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.onnx.operators.table import operator
from tallow.onnx.operators.windows import Windows, settle
from tallow.tensor import Tensor

_Ints = Sequence[int] | None


@operator("DeformConv", since=19)
def deform_conv(
    x: Tensor, w: Tensor, offset: Tensor, b: Tensor | None = None, mask: Tensor | None = None, *,
    dilations: _Ints = None, group: int = 1, kernel_shape: _Ints = None, offset_group: int = 1,
    pads: _Ints = None, strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """Cross-correlation whose taps are moved by `offset`, read by linear interpolation."""
    where = "DeformConv"
    found = settle(
        where, x.shape, w.shape[2:], auto_pad="NOTSET", pads=pads, strides=strides,
        dilations=dilations,
    )  # fmt: skip
    n, taps, places = len(found.kernel), math.prod(found.kernel), math.prod(found.size)
    batch, channels = x.shape[:2]
    good = group > 0 and offset_group > 0 and channels % offset_group == 0
    good = good and w.shape[0] % group == 0 and w.shape[1] * group == channels
    expect(good, where, f"groups that divide {channels} channels", (group, offset_group))
    shape = (batch, offset_group * taps * n, *found.size)
    expect(offset.shape == shape, where, f"an offset of shape {shape}", offset.shape)
    wide = f32 if x.dtype.itemsize < 4 else x.dtype
    at = offset.to(wide).reshape(batch, offset_group, taps, n, places) + _grid(found, offset, wide)
    planes = x.to(wide).reshape(batch, offset_group, channels // offset_group, -1)
    read = _interpolated(planes, at, x.shape[2:])
    if mask is not None:
        shape = (batch, offset_group * taps, *found.size)
        expect(mask.shape == shape, where, f"a mask of shape {shape}", mask.shape)
        read = read * mask.to(wide).reshape(batch, offset_group, 1, taps * places)
    columns = read.reshape(batch, group, -1, places)
    rows = w.to(wide).reshape(group, w.shape[0] // group, -1)
    out = ops.matmul(rows, columns).reshape(batch, w.shape[0], *found.size)
    if b is not None:
        out = out + b.to(wide).reshape(-1, *(1,) * n)
    return out.to(x.dtype)


def _grid(found: Windows, like: Tensor, dtype: DType) -> Tensor:
    """Where the taps are without an offset: (taps, axes, places)."""
    axes = zip(found.kernel, found.size, found.strides, found.before, found.dilations, strict=True)
    coordinates = []
    for i, (k, o, s, before, d) in enumerate(axes):
        line = arange(k, device=like.device).reshape(-1, 1) * d - before
        line = line + arange(o, device=like.device) * s  # (k, o)
        inner_k, inner_o = math.prod(found.kernel[i + 1 :]), math.prod(found.size[i + 1 :])
        line = line.repeat_interleave(inner_k, 0).repeat_interleave(inner_o, 1)
        outer = math.prod(found.kernel[:i]), math.prod(found.size[:i])
        coordinates.append(line.tile(outer))
    return ops.stack(coordinates, 1).to(dtype)


def _interpolated(planes: Tensor, at: Tensor, lengths: Sequence[int]) -> Tensor:
    """Elements of planes (batch, groups, channels, …) at (batch, groups, taps, axes, places)."""
    floor = at.floor()
    part = at - floor
    base = floor.to(i64)
    batch, groups, channels, _ = planes.shape
    total = None
    for corner in product((0, 1), repeat=len(lengths)):
        index, weight = None, None
        for i, (step, length) in enumerate(zip(corner, lengths, strict=True)):
            place = base[:, :, :, i] + step
            share = part[:, :, :, i] if step else 1 - part[:, :, :, i]
            inside = (place >= 0).bitwise_and(place < length)
            share = ops.where(inside, share, 0.0)
            place = place.clamp(0, length - 1)
            index = place if index is None else index * length + place
            weight = share if weight is None else weight * share
        assert index is not None and weight is not None
        flat = index.reshape(batch, groups, 1, -1).expand(batch, groups, channels, -1)
        term = planes.gather(3, flat) * weight.reshape(batch, groups, 1, -1)
        total = term if total is None else total + term
    assert total is not None
    return total


_ACTIVATIONS: Final = ("none", "silu", "swish")


@operator("CausalConvWithState", since=27)
def causal_conv_with_state(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, past_state: Tensor | None = None, *,
    activation: str = "none",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A depthwise convolution that looks back, and the samples that the next call looks back at."""
    where = "CausalConvWithState"
    known = activation in _ACTIVATIONS
    expect(known, where, f"activation of {', '.join(_ACTIVATIONS)}", activation, ArgumentError)
    good = x.ndim == 3 and weight.ndim == 3 and weight.shape[:2] == (x.shape[1], 1)
    expect(good, where, "input and a weight (channels, 1, k)", (x.shape, weight.shape))
    back = weight.shape[2] - 1
    shape = (*x.shape[:2], back)
    past = x.new_zeros(shape) if past_state is None else past_state
    expect(past.shape == shape, where, f"a past_state of shape {shape}", past.shape)
    longer = ops.cat([past, x], 2)
    y = ops.conv1d(longer, weight, bias, groups=x.shape[1])
    y = y if activation == "none" else ops.silu(y)
    return y, longer.narrow(2, x.shape[2], back)
