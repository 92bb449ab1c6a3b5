"""Tensors out of shapes and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full, tensor
from tallow.onnx.operators.host import as_numpy, as_value, on_host
from tallow.onnx.operators.known import dtype_of
from tallow.onnx.operators.table import operator
from tallow.ops.shape import axis_of
from tallow.tensor import Tensor


@operator("Shape", host=True)
def shape(x: Any, *, start: int = 0, end: int | None = None) -> Tensor:
    """The lengths of the axes from `start` to `end`."""
    return tensor(list(x.shape[start:end]), dtype="i64")


@operator("Size", host=True)
def size(x: Any) -> Tensor:
    """The number of elements."""
    return full((), math.prod(x.shape), "i64")


@operator("ConstantOfShape", since=9, reads=("sizes",))
def constant_of_shape(sizes: Any, *, value: Any = None) -> Any:
    """One value (0 in f32 unless given) in a shape."""
    sizes = [sizes] if isinstance(sizes, int) else sizes
    expect(all(n >= 0 for n in sizes), "ConstantOfShape", "sizes of at least 0", sizes)
    if value is None:
        return full(sizes, 0.0, "f32")
    single = math.prod(value.shape) == 1
    expect(single, "ConstantOfShape", "a value of one element", tuple(value.shape))
    if on_host(value):
        import numpy as np

        return np.full(sizes, value.reshape(()), value.dtype)
    return full(sizes, value.item(), value.dtype)


@operator("Range", since=11, reads=("start", "limit"))
def numbers(start: Any, limit: Any, delta: Tensor, *, stash_type: int = 1) -> Tensor:
    """Numbers from `start` to short of `limit`; each is computed by itself, in f64 for floats."""
    first, last, step = (
        each[0] if isinstance(each, list) else each for each in (start, limit, delta.item())
    )
    expect(step != 0, "Range", "a delta other than 0", step, ArgumentError)
    if delta.dtype.kind == "i":
        return arange(first, first + max(-((first - last) // step), 0) * step, step, delta.dtype)
    finite = all(math.isfinite(x) for x in (first, last, step))
    expect(finite, "Range", "finite start, limit and delta", (first, last, step), ArgumentError)
    count = max(math.ceil((last - first) / step), 0)
    found: Tensor = (arange(count).to("f64") * step + first).to(delta.dtype)
    return found


@operator("OneHot", since=9, reads=("depth",), host=True)
def one_hot(indices: Tensor, depth: Any, values: Any, *, axis: int = -1) -> Any:
    """`values[1]` at each index of a new axis, `values[0]` elsewhere."""
    count = int(depth[0] if isinstance(depth, list) else depth)
    expect(count > 0, "OneHot", "a depth of at least 1", count, ArgumentError)
    at = axis_of(axis, indices.ndim + 1, "OneHot")
    index = indices.to("i64")
    index = ops.where(index < 0, index + count, index).unsqueeze(at)
    places = arange(count).reshape([-1, *[1] * (indices.ndim - at)])
    hot = index.eq(places.to(indices.device))
    if on_host(values):
        import numpy as np

        return as_value(np.where(as_numpy(hot), values[1], values[0]).astype(values.dtype))
    return ops.where(hot, values[1], values[0])


# --- of signals -----------------------------------------------------------------------------------


def _window(make: Callable[..., Tensor], size: Any, periodic: int, code: int) -> Tensor:
    length = size[0] if isinstance(size, list) else size
    points = max(length, 2) if periodic else length  # of one point of a period, the first
    made = make(points, bool(periodic), dtype="f64").narrow(0, 0, length)
    return made.to(dtype_of(code, "output_datatype"))


@operator("HannWindow", since=17, reads=("size",))
def hann_window(size: Any, *, output_datatype: int = 1, periodic: int = 1) -> Tensor:
    """A Hann window."""
    return _window(ops.hann_window, size, periodic, output_datatype)


@operator("HammingWindow", since=17, reads=("size",))
def hamming_window(size: Any, *, output_datatype: int = 1, periodic: int = 1) -> Tensor:
    """A Hamming window whose first side lobe is 0: its mean is 25/46, not the usual 0.54."""
    make = partial(ops.hamming_window, alpha=25 / 46, beta=21 / 46)
    return _window(make, size, periodic, output_datatype)


@operator("BlackmanWindow", since=17, reads=("size",))
def blackman_window(size: Any, *, output_datatype: int = 1, periodic: int = 1) -> Tensor:
    """A Blackman window."""
    return _window(ops.blackman_window, size, periodic, output_datatype)


@operator("MelWeightMatrix", since=17, reads=("bands", "length", "rate", "low", "high"))
def mel_weight_matrix(
    bands: Any, length: Any, rate: Any, low: Any, high: Any, *, output_datatype: int = 1
) -> Tensor:
    """(length // 2 + 1, bands): triangles of height 1 at distances that are equal in mel."""
    bands, length, rate, low, high = (
        each[0] if isinstance(each, list) else each for each in (bands, length, rate, low, high)
    )
    least, most = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    mels = (least + i * (most - least) / (bands + 2) for i in range(bands + 2))
    edges = [int((length + 1) * 700 * (10 ** (mel / 2595) - 1) // rate) for mel in mels]
    bins = length // 2 + 1
    columns = [_triangle(bins, *edges[i : i + 3]) for i in range(bands)]
    rows = tensor(columns, dtype="f64").reshape([bands, bins])
    return rows.t().to(dtype_of(output_datatype, "output_datatype"))


def _triangle(bins: int, left: int, middle: int, right: int) -> list[float]:
    """A line from 0 at `left` up to 1 at `middle`, and down to 0 at `right`."""
    column = [0.0] * bins
    for i in range(max(left, 0), min(middle + 1, bins)):
        column[i] = (i - left) / (middle - left) if middle > left else 1.0
    for i in range(max(middle, 0), min(right, bins)):
        column[i] = (right - i) / (right - middle)
    return column
