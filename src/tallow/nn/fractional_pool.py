"""Fractional max pooling (arXiv 1412.6071): windows at random, evenly spread places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.nn.conv import Size, per_axis
from tallow.nn.module import Module
from tallow.tensor import Tensor

Ratio = float | Sequence[float]


def _starts(sample: Tensor, size: int, out: int, kernel: int) -> Tensor:
    """Where the windows of each plane begin: `sample` (n, c) in [0, 1) → (n, c, out)."""
    if out == 1:
        return sample.unsqueeze(-1).long() * 0 + (size - kernel)
    step = (size - kernel) / (out - 1)
    u = sample.unsqueeze(-1)
    moved = ((arange(out).to(u.dtype) + u) * step).long() - (u * step).long()
    return ops.where(arange(out).eq(out - 1), size - kernel, moved)


def _sizes(
    name: str, n: int, spatial: Sequence[int], output_size: Any, output_ratio: Any
) -> tuple[int, ...]:
    one = (output_size is None) != (output_ratio is None)
    expect(one, name, "output_size or output_ratio", (output_size, output_ratio), ArgumentError)
    if output_size is not None:
        return per_axis(output_size, n, name)
    ratios = _ratios(name, n, output_ratio)
    return tuple(int(size * ratio) for size, ratio in zip(spatial, ratios, strict=True))


def _ratios(name: str, n: int, given: Ratio) -> tuple[float, ...]:
    """One ratio for each axis."""
    ratios = (given,) * n if isinstance(given, (int, float)) else tuple(given)
    good = len(ratios) == n and all(0 < ratio < 1 for ratio in ratios)
    expect(good, name, f"{n} output ratios between 0 and 1", given, ArgumentError)
    return ratios


def fractional_max_pool(
    n: int,
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None,
    output_ratio: Ratio | None,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    """The maxima of `output_size` windows over the last `n` axes, and where they are if asked."""
    name = f"fractional_max_pool{n}d"
    wanted = f"input of {n + 1} or {n + 2} axes"
    expect(input.ndim in (n + 1, n + 2), name, wanted, input.shape)
    x = input if input.ndim == n + 2 else input.unsqueeze(0)
    spatial = x.shape[2:]
    kernel = per_axis(kernel_size, n, name)
    out = _sizes(name, n, spatial, output_size, output_ratio)
    good = all(o > 0 and o + k - 1 <= s for o, k, s in zip(out, kernel, spatial, strict=True))
    wanted = f"windows of {kernel} at {out} places inside {spatial}"
    expect(good, name, wanted, "no room for them")
    if samples is None:
        samples = ops.rand(*x.shape[:2], n, dtype=x.dtype)
    expect(
        samples.shape == (*x.shape[:2], n), name, "samples (batch, channels, axes)", samples.shape
    )
    index = _window_indices(samples, spatial, out, kernel)
    windows = x.flatten(2).gather(2, index.flatten(2)).reshape(index.shape)
    values, which = windows.max(-1)
    values = values.reshape(*x.shape[:2], *out)
    values = values if input.ndim == n + 2 else values.squeeze(0)
    if not return_indices:
        return values
    return values, index.gather(-1, which.unsqueeze(-1)).reshape(values.shape)


def _window_indices(
    samples: Tensor, spatial: Sequence[int], out: Sequence[int], kernel: Sequence[int]
) -> Tensor:
    """Flat indices of each window's elements: `samples` (b, c, n) → (b, c, windows, elements)."""
    n, planes = len(out), samples.shape[:2]
    # torch's samples of images stand in the order width, height.
    order = (1, 0) if n == 2 else range(n)
    index: Any = 0
    for axis, column in enumerate(order):
        starts = _starts(samples.select(2, column), spatial[axis], out[axis], kernel[axis])
        places = starts.unsqueeze(-1) + arange(kernel[axis])
        shape = [*planes, *(1,) * (2 * n)]
        shape[2 + axis], shape[2 + n + axis] = out[axis], kernel[axis]
        index = index * spatial[axis] + places.reshape(shape)
    return index.reshape(*planes, math.prod(out), math.prod(kernel))


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Fractional max pooling of (batch, channels, height, width), or without the batch."""
    return fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Fractional max pooling of (batch, channels, depth, height, width), or without the batch."""
    return fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


class _Fractional(Module):
    """Maxima of windows at random places: `output_size` of them, or a ratio of the input's size."""

    n = 0

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: Ratio | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        one = (output_size is None) != (output_ratio is None)
        wanted = "output_size or output_ratio"
        expect(one, type(self), wanted, (output_size, output_ratio), ArgumentError)
        n, where = self.n, type(self).__name__
        self.kernel_size = per_axis(kernel_size, n, where)
        self.output_size = None if output_size is None else per_axis(output_size, n, where)
        self.output_ratio = None if output_ratio is None else _ratios(where, n, output_ratio)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch; a pair with `return_indices`."""
        return fractional_max_pool(
            self.n, input, self.kernel_size, self.output_size, self.output_ratio,
            self.return_indices, self.__dict__["_random_samples"],
        )  # fmt: skip


class FractionalMaxPool2d(_Fractional):
    """Fractional max pooling of images."""

    n = 2


class FractionalMaxPool3d(_Fractional):
    """Fractional max pooling of volumes."""

    n = 3
