"""Pooling to a given size: maxima and averages of equal parts of the axes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..registry import op
from ..tensor import Tensor
from .pool_average import average_of
from .pool_max import max_of
from .pool_windows import fits_windows, targets
from .resample import check_longest
from .spatial import check_spatial


@lru_cache(8)
def _parts(n: int) -> tuple[int, ...]:
    """Windows that cut n axes into equal parts; one that is not there is a window of length 1."""
    return (*(1,) * (3 - n), *(0,) * n, 1, 1, 1, 0, 0, 0, 1, 1, 1)


def _adaptive_max(where: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    check_spatial(where, n, input, integers=True)
    size = targets(where, n, input, output_size)
    return max_of(n, input, _parts(n), size, return_indices)


@op(cached=True)
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of `output_size` equal parts of the last axis, which overlap if need be."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


@op(cached=True)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of equal parts of the last two axes; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


@op
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of equal parts of the last three axes; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def adaptive_average(where: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last n axes."""
    if (
        type(output_size) is not int
        or type(input) is not Tensor
        or not 0 <= output_size < 4096
        or not fits_windows(n, input.dtype, input.shape)
    ):  # not the usual call
        check_spatial(where, n, input)
        size = targets(where, n, input, output_size)
        check_longest(where, size)
    else:
        size = (output_size,) * n
    if set(size) == {1}:
        return input.mean(_LAST[n], keepdim=True)
    return average_of(n, input, _parts(n), size, False, 0)


_LAST = ((), (-1,), (-2, -1), (-3, -2, -1))


@op(cached=True)
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` equal parts of the last axis, which overlap if need be."""
    return adaptive_average("adaptive_avg_pool1d", 1, input, output_size)


@op(cached=True)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last two axes; None keeps an axis."""
    return adaptive_average("adaptive_avg_pool2d", 2, input, output_size)


@op(cached=True)
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last three axes; None keeps an axis."""
    return adaptive_average("adaptive_avg_pool3d", 3, input, output_size)
