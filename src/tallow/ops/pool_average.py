"""Pooling by averages and power means: products with small tables (see `resample.py`)."""

from __future__ import annotations

from functools import lru_cache

from ..dtype import f64, i64
from ..errors import ArgumentError, expect
from ..registry import op
from ..tensor import Tensor
from .pool_windows import windows
from .resample import WeightTable, resample_axes, window_table
from .spatial import Sizes, check_float, check_spatial, sizes


@lru_cache(256)
def _tables(
    shape: tuple[int, ...], count: tuple[int, ...], kernel: tuple[int, ...], step: tuple[int, ...],
    pad: tuple[int, ...], include_pad: bool, divisor: int | None,
) -> tuple[WeightTable, ...]:  # fmt: skip
    scales = [None if divisor is None else 1.0 / divisor] + [None if divisor is None else 1.0] * 2
    axes = zip(shape, count, kernel, step, pad, strict=True)
    return tuple(
        window_table(*axis, include_pad, scale) for axis, scale in zip(axes, scales, strict=False)
    )


def _average(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    ceil_mode: bool, count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    whole = input.dtype is i64
    check_spatial(where, n, input, integers=whole)
    if divisor is not None:
        expect(divisor != 0, where, "a divisor_override other than 0", divisor, ArgumentError)
    (kernel, step, pad, _), count = windows(
        where, n, input, kernel_size, stride, padding, 1, ceil_mode
    )
    shape = input.shape[-n:]
    tables = _tables(shape, count, kernel, step, pad, bool(count_include_pad), divisor)
    if not whole:
        return resample_axes(input, tables)
    # A sum over its divisor, without the fraction: what is a hair short of a whole number is one.
    mean = resample_axes(input.to(f64), tables)
    return (mean + mean.sign() * 1e-6).trunc().to(i64)


@op
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


@op
def avg_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last two axes; `divisor_override` divides the sum instead."""
    return _average(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


@op
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
