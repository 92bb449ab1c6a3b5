"""Pools over windows and over whole planes, and unpooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from tallow import ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.onnx.operators.table import operator
from tallow.onnx.operators.windows import Windows, per_axis, settle, sides, spatial
from tallow.ops.pool_average import average_windows
from tallow.ops.pool_max import max_windows, max_windows_indices, plane_scatter
from tallow.tensor import Tensor

_Ints = Sequence[int] | None


@operator("MaxPool")
def max_pool(
    x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: _Ints = None, pads: _Ints = None, storage_order: int = 0, strides: _Ints = None,
    wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """Maxima of windows; positions count through batch, channels and spatial axes."""
    found = settle(
        "MaxPool", x.shape, kernel_shape, auto_pad=auto_pad, pads=pads, strides=strides,
        dilations=dilations, ceil_mode=ceil_mode,
    )  # fmt: skip
    if not any(wanted[1:]):
        return max_windows(x, found.params, found.size)
    out, at = max_windows_indices(x, found.params, found.size)
    batch, channels, *lengths = x.shape
    if storage_order:
        at = _column_major(at, lengths)
    planes = arange(batch * channels, device=x.device) * math.prod(lengths)
    return out, at + planes.reshape(batch, channels, *(1,) * len(lengths))


def _column_major(at: Tensor, lengths: Sequence[int]) -> Tensor:
    """Row-major positions in a plane as column-major ones."""
    total, step = at * 0, math.prod(lengths)
    for length in reversed(lengths):
        step //= length
        total = total + at.remainder(length) * step
        at = at.div(length, rounding_mode="floor")
    return total


@operator("AveragePool")
def average_pool(
    x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: _Ints = None, pads: _Ints = None, strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """Means of windows, over what lies in the input or in its padding."""
    found = settle(
        "AveragePool", x.shape, kernel_shape, auto_pad=auto_pad, pads=pads, strides=strides,
        dilations=dilations, ceil_mode=ceil_mode,
    )  # fmt: skip
    if max(found.dilations) > 1:
        ones = x.new_ones((1, 1, *x.shape[2:]))
        count = _sums(ones, found, 1.0 if count_include_pad else 0.0)
        return (_sums(x, found) / count).to(x.dtype)
    if count_include_pad and found.before != found.behind:
        x = ops.constant_pad_nd(x, _both_sides(found.before, found.behind))
        found = _without_padding(found)
        count_include_pad = 0
    return average_windows(x, found.params, found.size, bool(count_include_pad), 0)


def _both_sides(before: Sequence[int], behind: Sequence[int]) -> list[int]:
    """Padding in the order of `pad`: the last axis first."""
    pairs = [*zip(before, behind, strict=True)]
    return [n for pair in reversed(pairs) for n in pair]


def _without_padding(found: Windows) -> Windows:
    none = (0,) * len(found.kernel)
    return Windows(found.kernel, found.strides, found.dilations, none, none, found.size)


def _sums(x: Tensor, found: Windows, padding: float = 0.0) -> Tensor:
    """The sums of windows that may have gaps; `padding` is what an element of it counts."""
    x = x.to(f32) if x.dtype.itemsize < 4 else x
    x = ops.constant_pad_nd(x, _both_sides(found.before, found.behind), padding)
    axes = [*zip(found.size, found.strides, found.dilations, found.kernel, strict=True)]
    reach = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in axes]
    more = [max(r - length, 0) for r, length in zip(reach, x.shape[2:], strict=True)]
    x = ops.constant_pad_nd(x, _both_sides([0] * len(more), more))
    total = None
    for at in product(*map(range, found.kernel)):
        steps = zip(at, axes, strict=True)
        key = [slice(t * d, t * d + (n - 1) * s + 1, s) for t, (n, s, d, _) in steps]
        part = x[(..., *key)]
        total = part if total is None else total + part
    assert total is not None
    return total


@operator("LpPool", since=2)
def lp_pool(
    x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: _Ints = None, p: int = 2, pads: _Ints = None, strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """The p-norms of windows."""
    found = settle(
        "LpPool", x.shape, kernel_shape, auto_pad=auto_pad, pads=pads, strides=strides,
        dilations=dilations, ceil_mode=ceil_mode,
    )  # fmt: skip
    wide = x.to(f32) if x.dtype.itemsize < 4 else x
    powers = wide.square() if p == 2 else wide.abs() ** p
    total = _sums(powers, found)
    return (total.sqrt() if p == 2 else total ** (1 / p)).to(x.dtype)


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    """The mean of each plane."""
    return x.mean(_planes("GlobalAveragePool", x), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    """The maximum of each plane."""
    return x.amax(_planes("GlobalMaxPool", x), keepdim=True)


@operator("GlobalLpPool", since=2)
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    """The p-norm of each plane."""
    wide = x.to(f32) if x.dtype.itemsize < 4 else x
    return wide.norm(p, _planes("GlobalLpPool", x), keepdim=True).to(x.dtype)


def _planes(where: str, x: Tensor) -> tuple[int, ...]:
    expect(x.ndim > 2, where, "an input of at least 3 axes (batch, channels, …)", x.shape)
    return tuple(range(2, x.ndim))


@operator("MaxUnpool", since=9, reads=("output_shape",))
def max_unpool(
    x: Tensor, indices: Tensor, output_shape: list[int] | None = None, *,
    kernel_shape: Sequence[int], pads: _Ints = None, strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `x` at positions that MaxPool gave."""
    where = "MaxUnpool"
    lengths = spatial(where, x.shape)
    n = len(lengths)
    expect(indices.shape == x.shape, where, f"indices of shape {x.shape}", indices.shape)
    kernel = per_axis(where, "kernel sizes", kernel_shape, n)
    steps = per_axis(where, "strides", strides, n)
    before, behind = sides(where, "NOTSET", pads, n)
    axes = zip(lengths, steps, kernel, before, behind, strict=True)
    size = [(i - 1) * s - p - q + k for i, s, k, p, q in axes]
    planes = math.prod(x.shape[:2])
    # Positions count through the planes of the pool that made them, which had this size.
    at = indices.to(i64) - (arange(planes, device=x.device) * math.prod(size)).reshape(
        *x.shape[:2], *(1,) * n
    )
    flat = plane_scatter(x.flatten(2), at.flatten(2), math.prod(size), False)
    out = flat.reshape(*x.shape[:2], *size)
    if output_shape is None:
        return out
    good = len(output_shape) == x.ndim and list(output_shape[:2]) == list(x.shape[:2])
    text = f"an output_shape of {[*x.shape[:2]]} and {n} lengths"
    expect(good, where, text, output_shape, ArgumentError)
    more = [to - length for to, length in zip(output_shape[2:], size, strict=True)]
    return ops.constant_pad_nd(out, _both_sides([0] * n, more))
