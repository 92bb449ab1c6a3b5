"""Pooling by maxima, with their positions, and unpooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtype import i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .pool_windows import Params, settled
from .spatial import Sizes, check_float, sizes

# --- by position ----------------------------------------------------------------------------------


@op(name="nn.plane_gather")
def plane_gather(input: Tensor, indices: Tensor) -> Tensor:
    """`out[n, c, j] = input[n, c, indices[n, c, j]]`; the indices (i64) must lie inside."""
    return input.gather(2, indices)


@plane_gather.out
def _(input: Tensor, indices: Tensor) -> Any:
    return indices.shape, input.dtype


plane_gather.kernel("plane_gather")


@op(name="nn.plane_scatter")
def plane_scatter(input: Tensor, indices: Tensor, size: int, add: bool) -> Tensor:
    """Zeros of `size` per plane, `input[n, c, j]` added (or written) at `indices[n, c, j]`."""
    zero = input.new_zeros((*input.shape[:2], size))
    return zero.scatter_add(2, indices, input) if add else zero.scatter(2, indices, input)


@plane_scatter.out
def _(input: Tensor, indices: Tensor, size: int, add: bool) -> Any:
    return (*input.shape[:2], size), input.dtype


@plane_scatter.kernel("plane_scatter")
def _(input: Tensor, indices: Tensor, size: int, add: bool) -> tuple[Any, ...]:
    return input, indices, bool(add)


@plane_gather.grad
def _(g: Tensor, _input: Any, indices: Tensor) -> Any:
    return lambda: plane_scatter(g, indices, _input.shape[2], True), None


@plane_scatter.grad
def _(g: Tensor, _input: Any, indices: Tensor, size: int, add: bool) -> Any:
    return lambda: plane_gather(g, indices), None


# --- maxima ---------------------------------------------------------------------------------------


@op(name="nn.max_pool", cached=True)
def max_windows(input: Tensor, params: Params, size: Sequence[int]) -> Tensor:
    """The maxima of windows: (batch, channels, *spatial) to (batch, channels, *size); NaN wins."""
    return max_windows_indices(input, params, size)[0]


@max_windows.out
def _(input: Tensor, params: Params, size: Sequence[int]) -> Any:
    return (*input.shape[:2], *size), input.dtype


@max_windows.kernel("max_pool")
def _(input: Tensor, params: Params, size: Sequence[int]) -> tuple[Any, ...]:
    return input, *params


@op(name="nn.max_pool_indices", cached=True)
def max_windows_indices(
    input: Tensor, params: Params, size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The maxima of windows, and where they are in the flattened spatial axes (i64)."""
    ...


@max_windows_indices.out
def _(input: Tensor, params: Params, size: Sequence[int]) -> Any:
    shape = (*input.shape[:2], *size)
    return [(shape, input.dtype), (shape, i64)]


@max_windows_indices.kernel("max_pool_indices")
def _(input: Tensor, params: Params, size: Sequence[int]) -> tuple[Any, ...]:
    return input, *params


def _put_back(g: Tensor, indices: Tensor, spatial: Sequence[int]) -> Tensor:
    """The gradient `g` of windows put back where the maxima were."""
    flat = plane_scatter(g.flatten(2), indices.flatten(2), math.prod(spatial), True)
    return flat.reshape((*g.shape[:2], *spatial))


# The positions are found again in the backward pass: that costs one pooling there, where keeping
# them would cost every forward pass, and 8 bytes an element.
@max_windows.grad
def _(g: Tensor, input: Tensor, params: Params, size: Sequence[int]) -> Any:
    return lambda: _put_back(
        g, max_windows_indices(input.detach(), params, size)[1], input.shape[2:]
    )


@max_windows_indices.grad
def _(
    g: tuple[Tensor, Any], _input: Any, params: Params, size: Sequence[int], indices: Tensor
) -> Any:
    return lambda: _put_back(g[0], indices, _input.shape[2:])


def _max(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    params, size = settled(where, n, input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return max_of(n, input, params, size, return_indices)


def max_of(
    n: int, input: Tensor, params: Params, size: tuple[int, ...], return_indices: bool
) -> Any:
    """The maxima of windows, with or without batch, and if asked for their positions."""
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    if not return_indices:
        out = max_windows(x, params, size)
        return out if batched else out.squeeze(0)
    pair = max_windows_indices(x, params, size)
    return pair if batched else (pair[0].squeeze(0), pair[1].squeeze(0))


@op(cached=True)
def max_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last axis; with `return_indices` a pair with its position.

    Shapes: (batch, channels, length) or (channels, length). NaN wins; padding never does.
    """
    where = "max_pool1d"
    return _max(where, 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op(cached=True)
def max_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last two axes; positions count through both axes."""
    where = "max_pool2d"
    return _max(where, 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op(cached=True)
def max_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last three axes; positions count through all three."""
    where = "max_pool3d"
    return _max(where, 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# --- unpooling ------------------------------------------------------------------------------------


def _unpool(
    where: str, n: int, input: Tensor, indices: Tensor, kernel_size: Sizes,
    stride: Sizes | None, padding: Sizes, output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    check_float(where, input)
    unwrap_tensor(indices, where)
    expect(indices.dtype is i64, where, "indices of i64", indices.dtype.name, NoKernelError)
    expect(input.ndim in (n + 1, n + 2), where, f"{n + 1} or {n + 2} axes", input.shape)
    expect(indices.shape == input.shape, where, f"indices of {input.shape}", indices.shape)
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    step = kernel if stride is None else sizes(stride, n, where, "stride", 1)
    pad = sizes(padding, n, where, "padding")
    size = [
        (length - 1) * s - 2 * p + k
        for length, k, s, p in zip(input.shape[-n:], kernel, step, pad, strict=True)
    ]
    if output_size is not None:
        given = tuple(output_size)[-n:]
        good = len(output_size) in (n, n + 2, n + 1) and all(
            d - s < o < d + s for o, d, s in zip(given, size, step, strict=True)
        )
        text = f"an output_size within a stride of {tuple(size)}"
        expect(good, where, text, tuple(output_size), ArgumentError)
        size = list(given)
    expect(min(size) > 0, where, "a result of at least one element an axis", tuple(size))
    batched = input.ndim == n + 2
    x, at = (input, indices) if batched else (input.unsqueeze(0), indices.unsqueeze(0))
    flat = plane_scatter(x.flatten(2), at.flatten(2), math.prod(size), False)
    out = flat.reshape((*x.shape[:2], *size))
    return out if batched else out.squeeze(0)


@op
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool1d` returned."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@op
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool2d` returned."""
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@op
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool3d` returned."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
