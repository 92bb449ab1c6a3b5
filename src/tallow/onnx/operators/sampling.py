"""GridSample and AffineGrid: tensors of any number of axes sampled at the points of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, Final

from tallow import ops
from tallow.autograd.mode import MODE
from tallow.dtype import DType, f32, f64, i64
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.onnx.operators.moving import whole
from tallow.onnx.operators.table import operator
from tallow.ops.grid import FAR
from tallow.ops.sample_points import sample_grid
from tallow.tensor import Tensor

_PADDINGS: Final = ("zeros", "border", "reflection")
_CUBIC: Final = -0.75


def _mirrored(at: Tensor, length: int, corners: bool) -> Tensor:
    """Coordinates mirrored at the borders, the outer pixels' middles or edges, until inside."""
    low, span = (0.0, length - 1.0) if corners else (-0.5, float(length))
    if span == 0:
        return at * 0
    around = ops.remainder(at - low, 2 * span)
    return ops.minimum(around, 2 * span - around) + low


def _brought_in(at: Tensor, length: int, padding: str, corners: bool) -> Tensor:
    """Coordinates that lie outside moved inside, as the padding says."""
    if padding == "zeros":
        return at
    if padding == "border":
        clipped = at.clamp(0, length - 1)
        if corners:
            return clipped
        return ops.where(at.lt(-0.5).logical_or(at.gt(length - 0.5)), clipped, at)
    return _mirrored(at, length, corners)


class _Pixels:
    """An image as rows of channels, read at whole coordinates."""

    def __init__(self, x: Tensor, padding: str, corners: bool) -> None:
        n = x.ndim - 2
        self.spatial, self.padding, self.corners = x.shape[2:], padding, corners
        count = math.prod(self.spatial)
        self.rows = x.permute(0, *range(2, n + 2), 1).reshape(x.shape[0] * count, x.shape[1])
        batch = ops.arange(x.shape[0], dtype=i64, device=x.device)
        self.first = (batch * count).unsqueeze(1)

    def at(self, places: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Rows (batch * points, channels), and where they are inside (None: everywhere)."""
        index: Any = None
        inside: Any = None
        for place, length in zip(places, self.spatial, strict=True):
            if self.padding == "zeros":
                good = place.ge(0).logical_and(place.le(length - 1))
                inside = good if inside is None else inside.logical_and(good)
            elif self.padding == "reflection":
                place = _mirrored(place, length, self.corners)
            whole = place.clamp(0, length - 1).to(i64)
            index = whole if index is None else index * length + whole
        found = ops.take_positions(self.rows, (index + self.first).reshape(-1))
        return found, None if inside is None else inside.reshape(-1, 1)


def _weights(part: Tensor, mode: str) -> list[Tensor]:
    """The weights of an axis's neighbours, at `part` behind the one before."""
    if mode == "linear":
        return [1 - part, part]
    a = _CUBIC

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((x - 5) * x + 8) * x * a - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def _blended(pixels: _Pixels, at: Sequence[Tensor], mode: str) -> Tensor:
    """The neighbours of each point by their weights, (batch * points, channels)."""
    low = [a.floor() for a in at]
    weights = [_weights(a - b, mode) for a, b in zip(at, low, strict=True)]
    count, shift = (2, 0) if mode == "linear" else (4, -1)
    out: Any = None
    for corner in product(range(count), repeat=len(at)):
        weight: Any = None
        for k, given in zip(corner, weights, strict=True):
            weight = given[k] if weight is None else weight * given[k]
        found, inside = pixels.at([b + (k + shift) for b, k in zip(low, corner, strict=True)])
        factor = weight.reshape(-1, 1)
        if inside is not None:
            factor = factor * inside.to(factor.dtype)
        out = found * factor if out is None else out + found * factor
    total: Tensor = out
    return total


def _sampled(x: Tensor, grid: Tensor, mode: str, padding: str, corners: bool) -> Tensor:
    spatial, n = x.shape[2:], x.ndim - 2
    points = math.prod(grid.shape[1:-1])
    at = []
    for i, length in enumerate(spatial):  # the grid's last axis counts from the last one on
        given = grid.select(-1, n - 1 - i).reshape(x.shape[0], points)
        place = (given + 1) * ((length - 1) / 2) if corners else ((given + 1) * length - 1) / 2
        place = place.nan_to_num(-1.0, FAR, -FAR).clamp(-FAR, FAR)
        place = place.round() if mode == "nearest" else place
        at.append(_brought_in(place, length, padding, corners))
    pixels = _Pixels(x, padding, corners)
    if mode == "nearest":
        out, inside = pixels.at(at)
        out = out if inside is None else ops.where(inside, out, out.new_zeros(()))
    else:
        out = _blended(pixels, at, mode)
    shape = (x.shape[0], *grid.shape[1:-1], x.shape[1])
    return out.reshape(shape).permute(0, n + 1, *range(1, n + 1)).contiguous()


def _in_kernel(x: Tensor, grid: Tensor) -> bool:
    """Whether the kernel computes all of it: f32 is enough, and no gradient is wanted."""
    if x.dtype.kind != "f" or grid.dtype is not f32 or math.prod(x.shape[2:]) > 1 << 24:
        return False
    return not (MODE.enabled and (x.requires_grad or grid.requires_grad))


@operator("GridSample", since=20)
def grid_sample(
    x: Tensor, grid: Tensor, *, mode: str = "linear", padding_mode: str = "zeros",
    align_corners: int = 0,
) -> Tensor:  # fmt: skip
    """The tensor interpolated at the points of a grid, whose coordinates are from -1 to 1."""
    where = "GridSample"
    known = mode in ("linear", "nearest", "cubic")
    expect(known, where, "linear, nearest or cubic", repr(mode), ArgumentError)
    known = padding_mode in _PADDINGS
    expect(known, where, f"one of {', '.join(_PADDINGS)}", repr(padding_mode), ArgumentError)
    n = x.ndim - 2
    fits = n >= 1 and grid.ndim == n + 2 and (grid.shape[0], grid.shape[-1]) == (x.shape[0], n)
    got = (x.shape, grid.shape)
    expect(fits, where, "x (batch, channels, …) and a grid (batch, …, axes behind channels)", got)
    expect(grid.dtype.kind == "f", where, "a grid of floats", grid.dtype.name, DTypeError)
    empty = 0 in x.shape[2:] and grid.numel() > 0
    expect(not empty, where, "axes with elements", x.shape)
    wide: DType = f64 if f64 in (grid.dtype, x.dtype) else f32
    grid = grid.to(wide)
    if mode == "linear" and n == 2 and padding_mode != "reflection" and _in_kernel(x, grid):
        points = grid.reshape(x.shape[0], math.prod(grid.shape[1:-1]), 2)
        out = sample_grid(x.to(f32), points, padding_mode == "border", bool(align_corners))
        return out.reshape(*x.shape[:2], *grid.shape[1:-1]).to(x.dtype)
    if mode == "nearest":
        return _sampled(x, grid, mode, padding_mode, bool(align_corners))
    expect(x.dtype.kind in "fiu", where, "numbers, or mode nearest", x.dtype.name, DTypeError)
    found = _sampled(x.to(wide), grid, mode, padding_mode, bool(align_corners))
    return found.to(x.dtype)


@operator("GridSample", since=16, until=19)
def grid_sample_16(
    x: Tensor, grid: Tensor, *, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: int = 0,
) -> Tensor:  # fmt: skip
    """GridSample with the modes' names for two axes."""
    known = mode in ("bilinear", "nearest", "bicubic")
    expect(known, "GridSample", "bilinear, nearest or bicubic", repr(mode), ArgumentError)
    expect(x.ndim == 4, "GridSample", "4 axes", x.shape)
    way = mode.removeprefix("bi")
    return grid_sample(x, grid, mode=way, padding_mode=padding_mode, align_corners=align_corners)


@operator("AffineGrid", since=20, reads=("size",))
def affine_grid(theta: Tensor, size: list[int], *, align_corners: int = 0) -> Tensor:
    """The grid of GridSample that samples by an affine map for each image."""
    given = whole(size)
    good = len(given) in (4, 5) and min(given, default=0) > 0
    expect(good, "AffineGrid", "a size of 4 or 5 numbers above 0", given, ArgumentError)
    return ops.affine_grid(theta, given, bool(align_corners))
