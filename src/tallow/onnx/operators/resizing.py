"""Resize and Upsample: a table of weights for each axis, as for `interpolate`."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tallow import ops
from tallow.dtype import DType, bool_, f32, f64, i64
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.factories import tensor
from tallow.onnx.operators.moving import axes_in, listed, moves, whole
from tallow.onnx.operators.table import operator
from tallow.ops.resample import (
    WeightTable,
    check_longest,
    repeat_pixels,
    resample_axes,
    without_blocks,
)
from tallow.tensor import Tensor

_MODES: Final = ("nearest", "linear", "cubic")
_TRANSFORMS: Final = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
_ROUNDINGS: Final = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple")


class _Way(NamedTuple):
    """What all axes have in common."""

    mode: str
    transform: str
    rounding: str
    coefficient: float
    exclude_outside: bool
    antialias: bool


class _Axis(NamedTuple):
    """An axis's length before and after, its scale, and the part of it that is resized."""

    length: int
    results: int
    scale: float
    start: float
    end: float

    @property
    def is_same(self) -> bool:
        """Whether there is nothing to do."""
        return self.length == self.results and self.scale == 1 and (self.start, self.end) == (0, 1)


def _single(x: float) -> float:
    """`x` rounded to f32."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def _coordinates(axis: _Axis, way: _Way) -> list[float]:
    """Where each result lies in the input.

    In f32 for nearest neighbours, as ONNX Runtime has them: a scale such as 1/3, which is none of
    f32's numbers, would else fall short of an element by the rounding.
    """
    length, count, scale, start, end = axis
    rounded = _single if way.mode == "nearest" else float
    width = rounded(scale * length)  # may be a fraction
    if way.transform == "align_corners":
        step = 0.0 if width == 1 else (length - 1) / (width - 1)
        return [rounded(o * step) for o in range(count)]
    if way.transform == "tf_crop_and_resize":
        if width == 1:
            return [0.5 * (start + end) * (length - 1)] * count
        step = (end - start) * (length - 1) / (width - 1)
        return [rounded(start * (length - 1) + o * step) for o in range(count)]
    if way.transform == "asymmetric":
        return [rounded(o / scale) for o in range(count)]
    if way.transform == "pytorch_half_pixel" and width == 1:
        return [-0.5] * count
    shift = 0.5
    if way.transform == "half_pixel_symmetric":
        shift -= length / 2 * (1 - count / width)
    return [rounded(rounded((o + 0.5) / scale) - shift) for o in range(count)]


def _nearest(x: float, rounding: str, scale: float) -> int:
    if rounding == "round_prefer_floor":
        return math.ceil(x - 0.5)
    if rounding == "round_prefer_ceil":
        return math.floor(x + 0.5)
    if rounding == "ceil" or (rounding == "simple" and scale < 1):
        return math.ceil(x)
    return math.floor(x)


def _cubic(x: float, a: float) -> float:
    """The cubic convolution kernel (Keys 1981)."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _neighbours(x: float, axis: _Axis, way: _Way) -> list[tuple[int, float]]:
    """The elements around a place, also outside of the axis, and their weights."""
    if way.mode == "nearest":
        return [(_nearest(x, way.rounding, axis.scale), 1.0)]
    shrink = min(axis.scale, 1.0) if way.antialias else 1.0
    reach = (1 if way.mode == "linear" else 2) / shrink
    found = []
    for i in range(math.ceil(x - reach), math.floor(x + reach) + 1):
        far = (i - x) * shrink
        weight = 1 - abs(far) if way.mode == "linear" else _cubic(far, way.coefficient)
        if weight:
            found.append((i, weight))
    total = sum(weight for _, weight in found) if way.antialias else 1.0
    return [(i, weight / total) for i, weight in found]


def _row(x: float, axis: _Axis, way: _Way) -> tuple[int, list[float]]:
    """A window of the axis with its weights: elements outside count for those at the border."""
    length, found = axis.length, _neighbours(x, axis, way)
    if way.exclude_outside:
        inside = [(i, weight) for i, weight in found if 0 <= i < length]
        total = sum(weight for _, weight in inside)
        found = [(i, weight / total) for i, weight in inside] if total else [(0, 0.0)]
    places = [min(max(i, 0), length - 1) for i, _ in found]
    first = min(places)
    weights = [0.0] * (max(places) - first + 1)
    for place, (_, weight) in zip(places, found, strict=True):
        weights[place - first] += weight
    return first, weights


@lru_cache(256)
def _table(axis: _Axis, way: _Way) -> WeightTable:
    rows = [_row(x, axis, way) for x in _coordinates(axis, way)]
    return WeightTable(axis.length, [first for first, _ in rows], [row for _, row in rows])


# --- sizes ----------------------------------------------------------------------------------------


def _axes(
    shape: tuple[int, ...], chosen: list[int], scales: list[float], sizes: list[int],
    roi: list[float], policy: str,
) -> list[_Axis]:  # fmt: skip
    """All axes of a tensor of this shape; `chosen` are those that the lists are about."""
    n = len(chosen)
    one = (len(scales) == n) != (len(sizes) == n) and len(scales) + len(sizes) == n
    expect(n == 0 or one, "Resize", f"{n} scales or {n} sizes", (scales, sizes), ArgumentError)
    expect(len(roi) in (0, 2 * n), "Resize", f"{2 * n} numbers of roi", roi, ArgumentError)
    found = [_Axis(length, length, 1.0, 0.0, 1.0) for length in shape]
    ratios = [s / shape[a] if shape[a] else 1.0 for a, s in zip(chosen, sizes, strict=False)]
    if sizes and policy != "stretch":
        known = policy in ("not_larger", "not_smaller")
        expect(known, "Resize", "stretch, not_larger or not_smaller", policy, ArgumentError)
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        ratios = [ratio] * n
        sizes = [int(ratio * shape[a] + 0.5) for a in chosen]
    for i, a in enumerate(chosen):
        scale = ratios[i] if sizes else scales[i]
        good = 0 < scale < math.inf or (sizes and sizes[i] == 0)
        wanted, got = ("sizes of at least 0", sizes) if sizes else ("finite scales above 0", scales)
        expect(bool(good), "Resize", wanted, got, ArgumentError)
        count = sizes[i] if sizes else math.floor(_single(shape[a] * scale))
        good = count >= 0 and (shape[a] > 0 or count == 0)
        expect(good, "Resize", f"a length that {shape[a]} can be resized to", count)
        start, end = (roi[i], roi[n + i]) if roi else (0.0, 1.0)
        found[a] = _Axis(shape[a], count, scale, start, end)
    check_longest("Resize", [axis.results for axis in found] or [1])
    return found


def resized(x: Tensor, axes: Sequence[_Axis], way: _Way, outside: float) -> Tensor:
    """The tensor with its axes resized; `outside` is for what a cropping asks outside of it."""
    crop = way.transform == "tf_crop_and_resize"
    todo = [i for i, axis in enumerate(axes) if not (axis.is_same if crop else axis.scale == 1)]
    if any(axis.results == 0 for axis in axes):
        return x.new_zeros([axis.results for axis in axes])
    tables = [_table(axes[i], way) if i in todo else None for i in range(x.ndim)]
    if way.mode == "nearest":
        found = _picked(x, tables)
    else:
        found = _weighed(x, tables)
    for i in todo if crop else ():
        last = axes[i].length - 1
        lost = [not 0 <= at <= last for at in _coordinates(axes[i], way)]
        if any(lost):
            beside = [-1 if k == i else 1 for k in range(x.ndim)]
            mask = tensor(lost, dtype=bool_, device=x.device).reshape(beside)
            found = ops.masked_fill(found, mask, outside)
    return found


def _picked(x: Tensor, tables: Sequence[WeightTable | None]) -> Tensor:
    """Nearest neighbours: blocks of the last two axes, else positions of each axis."""
    rows, columns, rest = without_blocks(tuple(tables))
    if rows * columns > 1:
        x = repeat_pixels(x, rows, columns)
    for axis, table in reversed([*enumerate(rest)]):
        if table is not None:
            x = ops.take_positions(x, tensor(table.starts, dtype=i64, device=x.device), axis)
    return x


def _weighed(x: Tensor, tables: Sequence[WeightTable | None]) -> Tensor:
    dtype = x.dtype
    if dtype.kind == "f" and dtype.itemsize > 1:
        return resample_axes(x, tables)
    expect(dtype.kind in "iu", "Resize", "numbers, or mode nearest", dtype.name, DTypeError)
    wide = f64 if dtype.itemsize > 2 else f32
    return _rounded(resample_axes(x.to(wide), tables), dtype)


def _rounded(x: Tensor, dtype: DType) -> Tensor:
    """To integers: the nearest, inside the dtype's limits."""
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    low, high = (-(1 << bits) if dtype.kind == "i" else 0), (1 << bits) - 1
    return x.round().clamp(low, high).to(dtype)


# --- rows -----------------------------------------------------------------------------------------


@operator("Resize", since=11, reads=("roi", "scales", "sizes"), host=True)
@moves(0)
def resize(
    x: Tensor, roi: list[float] | None = None, scales: list[float] | None = None,
    sizes: list[int] | None = None, *, mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel", nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    antialias: int = 0, axes: list[int] | None = None, keep_aspect_ratio_policy: str = "stretch",
) -> Tensor:  # fmt: skip
    """Axes resized by scales or to sizes; coordinates, neighbours and weights as the modes say."""
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    for name, known in ((mode, _MODES), (coordinate_transformation_mode, _TRANSFORMS),
                        (nearest_mode, _ROUNDINGS)):  # fmt: skip
        expect(name in known, "Resize", f"one of {', '.join(known)}", repr(name), ArgumentError)
    smooth = not antialias or mode != "nearest"
    expect(smooth, "Resize", "antialias with linear or cubic only", mode, ArgumentError)
    chosen = [*range(x.ndim)] if axes is None else axes_in(axes, x.ndim, "Resize")
    part = listed(roi) if crop else []
    expect(not crop or len(part) > 0, "Resize", "a roi for tf_crop_and_resize", roi, ArgumentError)
    found = _axes(x.shape, chosen, listed(scales), whole(sizes), part, keep_aspect_ratio_policy)
    way = _Way(mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a,
               bool(exclude_outside), bool(antialias))  # fmt: skip
    return resized(x, found, way, extrapolation_value)


@operator("Upsample", since=9, until=10, reads=("scales",), host=True)
@operator("Resize", since=10, until=10, reads=("scales",), host=True)
@moves(0)
def resize_10(x: Tensor, scales: list[float], *, mode: str = "nearest") -> Tensor:
    """By scales from the first element on; nearest neighbours round up where an axis shrinks."""
    known = mode in _MODES[:2] or mode == "bilinear"
    expect(known, "Resize", "nearest or linear", mode, ArgumentError)
    way = _Way(mode.removeprefix("bi"), "asymmetric", "simple", 0.0, False, False)
    found = _axes(x.shape, [*range(x.ndim)], listed(scales), [], [], "stretch")
    return resized(x, found, way, 0.0)


@operator("Upsample", since=7, until=8, host=True)
@moves()
def upsample_7(x: Tensor, *, scales: list[float], mode: str = "nearest") -> Tensor:
    """Upsample with its scales as an attribute."""
    return resize_10(x, scales, mode=mode)
