"""Sampling an image at the points of a grid, and grids of affine maps (spatial transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from ..dtype import f32, i64
from ..errors import ArgumentError, UnsupportedCaseError, expect
from ..factories import arange
from ..registry import op
from ..tensor import Tensor
from .elementwise_ternary import where
from .pool_max import plane_gather
from .spatial import check_float

# Coordinates so far outside are as good as outside, and they are integers that i64 holds.
FAR = 2.0**30


def _unnormalized(at: Tensor, length: int, align_corners: bool) -> Tensor:
    """From -1 … 1 to pixels: the ends are the outer pixels' middles, or their outer edges."""
    if align_corners:
        return (at + 1) * ((length - 1) / 2)
    return ((at + 1) * length - 1) / 2


def _reflected(at: Tensor, length: int, align_corners: bool) -> Tensor:
    """Coordinates mirrored at the borders until they lie inside."""
    low, span = (0.0, length - 1.0) if align_corners else (-0.5, float(length))
    if span == 0:
        return at * 0
    away = (at - low).abs()
    flips = (away / span).floor().detach()
    rest = away - flips * span
    odd = flips - (flips / 2).floor() * 2
    return rest * (1 - 2 * odd) + odd * span + low


def _inside(at: Tensor, length: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Coordinates after padding by the border or by reflection."""
    if padding_mode == "reflection":
        at = _reflected(at, length, align_corners)
    if padding_mode == "zeros":
        return at
    clipped = at.clamp(0, length - 1)
    # torch lets no gradient through at the border itself.
    beyond = ((at <= 0) | (at >= length - 1)).detach()
    return _cut(clipped, beyond)


def _cut(at: Tensor, beyond: Tensor) -> Tensor:
    keep = beyond.logical_not().to(at.dtype)
    return at * keep + (at * (1 - keep)).detach()


def _taken(
    flat: Tensor, at: Sequence[Tensor], spatial: Sequence[int], padding_mode: str
) -> tuple[Tensor, Tensor | None]:
    """Pixels (batch, channels, points) at whole coordinates (batch, points) per axis, and a factor
    that is 0 where they lie outside (None: nowhere).
    """  # noqa: D205
    index: Any = None
    mask: Tensor | None = None
    for a, length in zip(at, spatial, strict=True):
        whole = a.detach()
        clipped = whole.clamp(0, length - 1).to(i64)
        index = clipped if index is None else index * length + clipped
        if padding_mode == "zeros":
            good = (whole >= 0) & (whole <= length - 1)
            mask = good if mask is None else mask & good
    batch, points = index.shape
    picked = plane_gather(flat, index.unsqueeze(1).expand(batch, flat.shape[1], points))
    return picked, None if mask is None else mask.unsqueeze(1).to(flat.dtype)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Weights of the four neighbours at distance t from the second (Keys 1981, a = -0.75)."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _grid_check(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    check_float("grid_sample", input, grid)
    n = input.ndim - 2
    expect(n in (2, 3), "grid_sample", "an input of 4 or 5 axes", input.shape)
    fits = grid.ndim == n + 2 and grid.shape[-1] == n and grid.shape[0] == input.shape[0]
    text = f"a grid of shape ({input.shape[0]}, {'depth, ' * (n - 2)}height, width, {n})"
    expect(fits, "grid_sample", text, grid.shape)
    expect(0 not in input.shape[2:], "grid_sample", "spatial axes with elements", input.shape)
    modes = ("bilinear", "nearest", "bicubic") if n == 2 else ("bilinear", "nearest")
    text = f"a mode of {', '.join(modes)} for {n} spatial axes"
    expect(mode in modes, "grid_sample", text, repr(mode), ArgumentError)
    paddings = ("zeros", "border", "reflection")
    text = f"a padding_mode of {', '.join(paddings)}"
    expect(padding_mode in paddings, "grid_sample", text, repr(padding_mode), ArgumentError)


@op
def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """The input interpolated at the points of `grid` (Jaderberg et al. 2015).

    Shapes: input (batch, channels, height, width), grid (batch, height', width', 2) of (x, y) in
    -1 … 1, out (batch, channels, height', width'); with three axes likewise, points (x, y, z).
    mode: bilinear, nearest, bicubic (two axes). padding_mode: zeros, border, reflection.
    """
    _grid_check(input, grid, mode, padding_mode)
    corners, dtype = bool(align_corners), input.dtype
    if dtype.itemsize == 2:
        input, grid = input.to(f32), grid.to(f32)
    spatial, batch = input.shape[2:], input.shape[0]
    n = len(spatial)
    points = 1
    for length in grid.shape[1:-1]:
        points *= length
    flat = input.flatten(2)
    # The grid's last axis counts from the last spatial axis on.
    given = [grid.select(-1, n - 1 - i).reshape((batch, points)) for i in range(n)]
    at = [
        _unnormalized(_known(a, n, padding_mode), length, corners).clamp(-FAR, FAR)
        for a, length in zip(given, spatial, strict=True)
    ]
    if mode == "bicubic":
        out = _bicubic(flat, at, spatial, padding_mode, corners)
    else:
        at = [
            _inside(a, length, padding_mode, corners) for a, length in zip(at, spatial, strict=True)
        ]
        if n == 3 and padding_mode == "reflection":
            at = [
                where((g - g).detach() == 0, a, length - 1)
                for g, a, length in zip(given, at, spatial, strict=True)
            ]
        out = (
            _nearest(flat, at, spatial, padding_mode)
            if mode == "nearest"
            else _linear(flat, at, spatial, padding_mode)
        )
    if mode == "bicubic" or (mode == "bilinear" and n == 2 and padding_mode == "zeros"):
        for a in given:  # the weights of what is not finite are NaN
            out = out + (a - a).detach().unsqueeze(1)
    return out.reshape((batch, input.shape[1], *grid.shape[1:-1])).to(dtype)


def _known(a: Tensor, axes: int, padding_mode: str) -> Tensor:
    """Coordinates that are numbers; where torch's kernels send NaN depends on the padding."""
    nan = -1.0 if axes == 2 and padding_mode != "zeros" else FAR
    return a.nan_to_num(nan, FAR, -FAR)


def _nearest(flat: Tensor, at: Sequence[Tensor], spatial: Sequence[int], padding: str) -> Tensor:
    picked, mask = _taken(flat, [a.detach().round() for a in at], spatial, padding)
    return picked if mask is None else picked * mask


def _linear(flat: Tensor, at: Sequence[Tensor], spatial: Sequence[int], padding: str) -> Tensor:
    low = [a.detach().floor() for a in at]
    upper = [a - b for a, b in zip(at, low, strict=True)]
    out: Any = None
    for corner in product((0, 1), repeat=len(spatial)):
        weight: Any = None
        for up, part in zip(corner, upper, strict=True):
            w = part if up else 1 - part
            weight = w if weight is None else weight * w
        places = [b + up for b, up in zip(low, corner, strict=True)]
        # With border and reflection a neighbour outside has weight 0.
        picked, mask = _taken(flat, places, spatial, "zeros")
        term = picked * (weight.unsqueeze(1) * mask)
        out = term if out is None else out + term
    total: Tensor = out
    return total


def _bicubic(
    flat: Tensor, at: Sequence[Tensor], spatial: Sequence[int], padding: str, corners: bool
) -> Tensor:
    low = [a.detach().floor() for a in at]
    weights = [_cubic_weights(a - b) for a, b in zip(at, low, strict=True)]
    out: Any = None
    for j, i in product(range(4), repeat=2):
        places = [
            _inside(b + (k - 1), length, padding, corners)
            for b, k, length in zip(low, (j, i), spatial, strict=True)
        ]
        picked, mask = _taken(flat, places, spatial, padding)
        weight = (weights[0][j] * weights[1][i]).unsqueeze(1)
        term = picked * (weight if mask is None else weight * mask)
        out = term if out is None else out + term
    total: Tensor = out
    return total


@op
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid of `grid_sample` that samples by affine maps.

    Shapes: theta (batch, 2, 3) and size (batch, channels, height, width), to (batch, height, width,
    2); or theta (batch, 3, 4), size of 5 numbers, to (batch, depth, height, width, 3).
    """
    check_float("affine_grid", theta)
    n = len(size) - 2
    expect(
        n in (2, 3), "affine_grid", "a size of 4 or 5 numbers", tuple(size), UnsupportedCaseError
    )
    fits = theta.shape == (size[0], n, n + 1)
    expect(fits, "affine_grid", f"theta of shape {(size[0], n, n + 1)}", theta.shape)
    good = min(size) > 0
    expect(good, "affine_grid", "positive sizes", tuple(size), ArgumentError)
    spatial = tuple(int(s) for s in size[2:])
    dtype = theta.dtype
    out: Any = None
    for i, length in enumerate(spatial):
        at = arange(length).to(dtype)
        if align_corners:
            at = at * (2 / (length - 1)) - 1 if length > 1 else at * 0
        else:
            at = (at * 2 + 1) / length - 1
        shape = [1] * (n + 2)
        shape[1 + i] = length
        column = theta.select(2, n - 1 - i)  # what this axis is multiplied by, per coordinate
        term = at.reshape(shape) * column.reshape((size[0], *(1,) * n, n))
        out = term if out is None else out + term
    moved = theta.select(2, n).reshape((size[0], *(1,) * n, n))
    grid: Tensor = (out + moved).expand((size[0], *spatial, n)).contiguous()
    return grid
