"""Pooling by averages and power means."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..dtype import bf16, f16, f32, f64, i64
from ..errors import ArgumentError, expect
from ..registry import op
from ..tensor import Tensor
from .pool_windows import Params, settled
from .resample import WeightTable, resample_axes, window_table
from .spatial import Sizes, check_float, sizes


@lru_cache(256)
def _tables(
    spatial: Params, size: Params, params: Params, include_pad: bool, divisor: int
) -> tuple[WeightTable, ...]:
    """The weights of each axis."""
    n = len(spatial)
    kernel, step, pad = (params[3 * i + 3 - n : 3 * i + 3] for i in range(3))
    scales = [1.0 / divisor, 1.0, 1.0] if divisor else [None] * 3
    axes = zip(spatial, size, kernel, step, pad, strict=True)
    return tuple(
        window_table(*axis, include_pad, scale) for axis, scale in zip(axes, scales, strict=False)
    )


@op(name="nn.avg_pool", cached=True)
def average_windows(
    input: Tensor, params: Params, size: Params, include_pad: bool, divisor: int
) -> Tensor:
    """The means of windows: (batch, channels, *spatial) to (batch, channels, *size).

    A `divisor` other than 0 divides the sums instead of the number of elements.
    """
    tables = _tables(tuple(input.shape[2:]), tuple(size), params, include_pad, divisor)
    return resample_axes(input, tables)


@average_windows.out
def _(input: Tensor, params: Params, size: Params, include_pad: bool, divisor: int) -> Any:
    return (*input.shape[:2], *size), input.dtype


@average_windows.kernel("avg_pool", dtypes=(f32, f16, bf16))
def _(
    input: Tensor, params: Params, size: Params, include_pad: bool, divisor: int
) -> tuple[Any, ...]:
    return input, *params, include_pad, float(divisor)


@average_windows.grad
def _(g: Tensor, _input: Any, params: Params, size: Params, include_pad: bool, divisor: int) -> Any:
    tables = _tables(tuple(_input.shape[2:]), tuple(size), params, include_pad, divisor)
    return lambda: resample_axes(g, [table.transposed for table in tables])


def average_of(
    n: int, input: Tensor, params: Params, size: Params, include_pad: bool, divisor: int
) -> Tensor:
    """The means of windows, with or without batch."""
    if input.ndim == n + 2:
        return average_windows(input, params, size, include_pad, divisor)
    return average_windows(input.unsqueeze(0), params, size, include_pad, divisor).squeeze(0)


def _average(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    ceil_mode: bool, count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    whole = getattr(input, "dtype", None) is i64
    params, size = settled(where, n, input, kernel_size, stride, padding, 1, ceil_mode, whole)
    if divisor is not None:
        expect(divisor != 0, where, "a divisor_override other than 0", divisor, ArgumentError)
    rest = params, size, bool(count_include_pad), divisor or 0
    if not whole:
        return average_of(n, input, *rest)
    # A sum over its divisor, without the fraction: what is a hair short of a whole number is one.
    mean = average_of(n, input.to(f64), *rest)
    return (mean + mean.sign() * 1e-6).trunc().to(i64)


@op(cached=True)
def avg_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last axis.

    Shapes: (batch, channels, length) or (channels, length). Padding counts as zeros, or not at all
    without `count_include_pad`.
    """
    return _average(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


@op(cached=True)
def avg_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last two axes; `divisor_override` divides the sum instead."""
    return _average(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


@op(cached=True)
def avg_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last three axes."""
    return _average(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def _power(
    where: str, n: int, input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None,
    ceil_mode: bool,
) -> Tensor:  # fmt: skip
    check_float(where, input)
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    count = 1
    for k in kernel:
        count *= k
    mean = _average(where, n, input.pow(norm_type), kernel, stride, 0, ceil_mode, True, None)
    return (mean.sign() * mean.abs().relu() * count).pow(1.0 / norm_type)


@op
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last axis."""
    return _power("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last two axes."""
    return _power("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last three axes."""
    return _power("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
