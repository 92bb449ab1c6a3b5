"""Interpolation: spatial axes resampled to another size, each by a table of weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..dtype import f32, f64, u8
from ..errors import ArgumentError, UnsupportedCaseError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .resample import WeightTable, check_longest, resample_axes, window_table
from .spatial import check_float

LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _single(x: float) -> float:
    """`x` rounded to f32, in which PyTorch picks nearest neighbours of anything but f64."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def _cubic(x: float, a: float) -> float:
    """The cubic convolution kernel (Keys 1981)."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


@lru_cache(256)
def nearest_table(
    length: int, count: int, scale: float | None, exact: bool, double: bool
) -> WeightTable:
    """Nearest neighbours: floor(o * scale), or with `exact` that of the pixels' middles."""
    rounded = (lambda x: x) if double else _single
    step = rounded(1.0 / scale if scale else length / count)
    shift = 0.5 if exact else 0.0
    starts = [min(int(rounded((o + shift) * step)), length - 1) for o in range(count)]
    return WeightTable(length, starts, [[1.0]] * count)


def _merged(length: int, neighbours: Sequence[tuple[int, float]]) -> tuple[int, list[float]]:
    """Neighbours as one window inside the axis: those outside count for the border."""
    inside = [(min(max(i, 0), length - 1), w) for i, w in neighbours]
    first = min(i for i, _ in inside)
    weights = [0.0] * (max(i for i, _ in inside) - first + 1)
    for i, w in inside:
        weights[i - first] += w
    return first, weights


@lru_cache(256)
def interpolation_table(
    length: int, count: int, scale: float | None, align_corners: bool, cubic: bool
) -> WeightTable:
    """Linear interpolation between two neighbours, or cubic between four (a = -0.75)."""
    if align_corners:
        step, middle = (length - 1) / (count - 1) if count > 1 else 0.0, 0.0
    else:
        step, middle = 1.0 / scale if scale else length / count, 0.5
    starts, weights = [], []
    for o in range(count):
        at = step * (o + middle) - middle
        if not cubic:
            at = min(max(at, 0.0), length - 1.0)
        i = math.floor(at)
        part = at - i
        if cubic:
            neighbours = [(i + k, _cubic(part - k, -0.75)) for k in (-1, 0, 1, 2)]
        else:
            neighbours = [(i, 1 - part), (i + 1, part)] if part else [(i, 1.0)]
        start, row = _merged(length, neighbours)
        starts.append(start)
        weights.append(row)
    return WeightTable(length, starts, weights)


@lru_cache(256)
def antialias_table(
    length: int, count: int, scale: float | None, align_corners: bool, cubic: bool
) -> WeightTable:
    """The triangle or the cubic (a = -0.5) as a filter as wide as the reduction, as in Pillow."""
    if align_corners:
        step = (length - 1) / (count - 1) if count > 1 else 0.0
    else:
        step = 1.0 / scale if scale else length / count
    support = (2 if cubic else 1) * max(step, 1.0)
    shrink = 1 / max(step, 1.0)
    starts, weights = [], []
    for o in range(count):
        center = step * (o + 0.5)
        start = max(int(center - support + 0.5), 0)
        end = min(int(center + support + 0.5), length)
        places = [(i - center + 0.5) * shrink for i in range(start, end)]
        row = [_cubic(p, -0.5) if cubic else _triangle(p) for p in places]
        total = sum(row)
        starts.append(start)
        weights.append([w / total for w in row] if total else row)
    return WeightTable(length, starts, weights)


def _list(value: Any, n: int, what: str) -> list[Any]:
    given = list(value) if isinstance(value, (tuple, list)) else [value] * n
    if len(given) != n:
        text = f"{what}: a number or {n} of them, one per spatial axis"
        expect(False, "interpolate", text, value, ArgumentError)
    return given


def _sizes_of(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """Output sizes, and the factors by which coordinates are scaled (None: the ratio of sizes)."""
    n = len(shape) - 2
    one = (size is None) != (scale_factor is None)
    expect(one, "interpolate", "either size or scale_factor", (size, scale_factor), ArgumentError)
    factors: list[float | None] = [None] * n
    if size is not None:
        if recompute:
            text = "scale_factor with recompute_scale_factor"
            expect(False, "interpolate", text, f"size {size}", ArgumentError)
        made = [int(s) for s in _list(size, n, "size")]
    else:
        given = [float(s) for s in _list(scale_factor, n, "scale_factor")]
        for s in given:
            good = s > 0 and math.isfinite(s)
            expect(good, "interpolate", "positive scale factors", scale_factor, ArgumentError)
        made = [math.floor(i * s) for i, s in zip(shape[2:], given, strict=True)]
        if not recompute:
            factors = list(given)
    fits = min(made) > 0
    expect(fits, "interpolate", "an output of at least one element an axis", tuple(made))
    check_longest("interpolate", made)
    return made, factors


def _check_mode(ndim: int, mode: str, align_corners: bool | None, antialias: bool) -> None:
    """Refuse modes that the number of axes does not have, and options that a mode does not have."""
    modes = ["nearest", "nearest-exact", "area", LINEAR[ndim]]
    modes += ["bicubic"] if ndim == 4 else []
    if mode not in modes:
        text = f"a mode of {', '.join(modes)} for {ndim - 2} spatial axes"
        expect(False, "interpolate", text, repr(mode), UnsupportedCaseError)
    if align_corners is not None and mode in modes[:3]:
        text = f"align_corners with {', '.join(modes[3:])} only"
        expect(False, "interpolate", text, repr(mode), ArgumentError)
    if antialias and mode not in ("bilinear", "bicubic"):
        text = "antialias with bilinear or bicubic only"
        expect(False, "interpolate", text, repr(mode), ArgumentError)


def _table(
    length: int, count: int, scale: float | None, mode: str, corners: bool, antialias: bool,
    double: bool,
) -> WeightTable:  # fmt: skip
    """The weights of one axis."""
    if mode == "area":
        return window_table(length, count, 0, 1, 0, False, None)
    if mode in ("nearest", "nearest-exact"):
        return nearest_table(length, count, scale, mode == "nearest-exact", double)
    made = antialias_table if antialias else interpolation_table
    return made(length, count, scale, corners, mode == "bicubic")


def _is_plain(value: Any) -> bool:
    """Whether nobody can change a size or scale: a number, none, or a list or tuple of numbers."""
    if isinstance(value, (list, tuple)):
        return all(type(v) is int or type(v) is float for v in value)
    return value is None or type(value) is int or type(value) is float


@lru_cache(256)
def _tables(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None, mode: str,
    align_corners: bool | None, antialias: bool, double: bool,
) -> tuple[WeightTable, ...]:  # fmt: skip
    """The weights of each spatial axis."""
    _check_mode(len(shape), mode, align_corners, antialias)
    made, factors = _sizes_of(shape, size, scale_factor, recompute)
    return tuple(
        _table(length, count, factor, mode, bool(align_corners), antialias, double)
        for length, count, factor in zip(shape[2:], made, factors, strict=True)
    )


@op(cached=True)
def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """The spatial axes resampled to `size`, or by `scale_factor`.

    Shapes: (batch, channels, *spatial) with 1 to 3 spatial axes. mode: nearest, nearest-exact,
    area, linear (1 axis), bilinear or bicubic (2), trilinear (3). `align_corners` makes the outer
    pixels' middles the ends of the axis; `antialias` (bilinear, bicubic) widens the filter when
    shrinking. ArgumentError for a combination that has no meaning.
    """
    unwrap_tensor(input, "interpolate")
    is_image = input.dtype is u8 and mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    input = input.to(f32) if is_image else input
    check_float("interpolate", input)
    expect(input.ndim in (3, 4, 5), "interpolate", "3 to 5 axes", input.shape, UnsupportedCaseError)
    expect(0 not in input.shape[1:], "interpolate", "axes with elements", input.shape)
    name: Any = mode
    known = isinstance(name, str) and _is_plain(size) and _is_plain(scale_factor)
    make = _tables if known else _tables.__wrapped__
    tables = make(
        input.shape, tuple(size) if isinstance(size, list) else size,
        tuple(scale_factor) if isinstance(scale_factor, list) else scale_factor,
        recompute_scale_factor, mode, align_corners, antialias, input.dtype is f64,
    )  # fmt: skip
    if not is_image:
        return resample_axes(input, tables)
    # As torch: columns first, rounded to pixels, and then rows of these.
    for axis in reversed(range(len(tables))):
        alone = [table if i == axis else None for i, table in enumerate(tables)]
        input = (resample_axes(input, alone) + 0.5).floor().clamp(0, 255)
    return input.to(u8)


@op(cached=True)
def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate` by its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@op(cached=True)
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode nearest."""
    return interpolate(input, size, scale_factor, "nearest")


@op(cached=True)
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode bilinear and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
