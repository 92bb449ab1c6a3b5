"""Weighted sums of pixels, at the points of a grid or at given places."""

from __future__ import annotations

from typing import Any

from ..dtype import f32, i32, i64
from ..errors import NoKernelError, expect
from ..registry import op
from ..tensor import Tensor

_MANY = 8  # channels, from which on it pays to have them last


@op(name="nn.sample_grid")
def sample_grid(x: Tensor, grid: Tensor, border: bool, corners: bool) -> Tensor:
    """Images (b, c, h, w) at the points of a grid (b, points, 2), bilinear: (b, c, points), f32.

    Points are (x, y) from -1 to 1: the middles of the outer pixels with `corners`, else their outer
    edges. Beyond them is 0, or with `border` the nearest pixel.
    """
    ...


@sample_grid.check
def _(x: Tensor, grid: Tensor, border: bool, corners: bool) -> None:
    fits = x.ndim == 4 and grid.ndim == 3 and grid.shape[::2] == (x.shape[0], 2)
    wanted = "x (b, c, h, w) and a grid (b, points, 2)"
    expect(fits, sample_grid, wanted, (x.shape, grid.shape))
    dtypes = (x.dtype.name, grid.dtype.name)
    expect(x.dtype is grid.dtype is f32, sample_grid, "f32", dtypes, NoKernelError)


@sample_grid.out
def _(x: Tensor, grid: Tensor, border: bool, corners: bool) -> Any:
    return (*x.shape[:2], grid.shape[1]), f32


@sample_grid.kernel("sample_grid")
def _(x: Tensor, grid: Tensor, border: bool, corners: bool) -> tuple[Any, ...]:
    last = x.shape[1] >= _MANY
    x = x.permute(0, 2, 3, 1) if last else x
    return x.contiguous(), grid.contiguous(), bool(border), bool(corners), last


@op(name="nn.gather_sum")
def gather_sum(x: Tensor, image: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Σ over taps of `weight` (taps, n, points) times pixels of f32 images: (n, c, points).

    `x` is (images, c, pixels); `image` (n,) in i64 says which, `index` (taps, n, points) in i32
    which pixel.
    """
    ...


@gather_sum.check
def _(x: Tensor, image: Tensor, index: Tensor, weight: Tensor) -> None:
    fits = x.ndim == 3 and image.ndim == 1 and index.ndim == 3 and index.shape == weight.shape
    fits = fits and index.shape[1:2] == image.shape
    wanted = "x (images, c, pixels), image (n,), index and weight (taps, n, points)"
    got = (x.shape, image.shape, index.shape, weight.shape)
    expect(fits, gather_sum, wanted, got)
    found = (x.dtype, image.dtype, index.dtype, weight.dtype)
    expect(found == (f32, i64, i32, f32), gather_sum, "f32, i64, i32 and f32",
           [dtype.name for dtype in found], NoKernelError)  # fmt: skip


@gather_sum.out
def _(x: Tensor, image: Tensor, index: Tensor, weight: Tensor) -> Any:
    return (image.shape[0], x.shape[1], index.shape[2]), f32


@gather_sum.kernel("gather_sum")
def _(x: Tensor, image: Tensor, index: Tensor, weight: Tensor) -> tuple[Any, ...]:
    last = x.shape[1] >= _MANY
    x = x.transpose(1, 2) if last else x
    return *(each.contiguous() for each in (x, image, index, weight)), last
