"""Windows of pooling ops: how many an axis has, and their kernel, stride, padding and dilation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..dtype import DType
from ..errors import ArgumentError, expect
from ..tensor import Tensor
from .spatial import Sizes, check_spatial, is_float, sizes


def window_count(length: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows an axis has; the last one must start inside the input or its padding."""
    room = length + 2 * p - d * (k - 1) - 1
    if ceil_mode:
        room += s - 1
    count = room // s + 1
    if ceil_mode and (count - 1) * s >= length + p:
        count -= 1
    return count


@lru_cache(512)
def _counts(
    spatial: tuple[int, ...], kernel: tuple[int, ...], step: tuple[int, ...],
    pad: tuple[int, ...], dilations: tuple[int, ...], ceil_mode: bool,
) -> tuple[int, ...] | None:  # fmt: skip
    """How many windows each axis has; None where more than half a window is padding."""
    if any(2 * p > d * (k - 1) + 1 for p, k, d in zip(pad, kernel, dilations, strict=True)):
        return None
    axes = zip(spatial, kernel, step, pad, dilations, strict=True)
    return tuple(window_count(*each, ceil_mode) for each in axes)


def windows(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool,
) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:  # fmt: skip
    """Kernel, stride, padding and dilation per axis, and how many windows each axis has."""
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        step = kernel
    else:
        step = sizes(stride, n, where, "stride", 1)
    pad = sizes(padding, n, where, "padding")
    dilations = sizes(dilation, n, where, "dilation", 1)
    count = _counts(input.shape[-n:], kernel, step, pad, dilations, bool(ceil_mode))
    if count is None:
        text = f"a padding of at most half the kernel {kernel}"
        raise ArgumentError(f"{where}: expected {text}, got {padding}")
    if min(count) < 1:
        expect(False, where, f"an input as large as the kernel {kernel}", input.shape)
    return [kernel, step, pad, dilations], count


# Kernel, stride, padding and dilation, three each; kernels of 0 cut the axes into equal parts.
Params = tuple[int, ...]


@lru_cache(256)
def _params(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Params:  # fmt: skip
    ones = (1,) * (3 - len(kernel))
    return (*ones, *kernel, *ones, *stride, *(0,) * len(ones), *padding, *ones, *dilation)


@lru_cache(512)
def fits_windows(n: int, dtype: DType, shape: tuple[int, ...]) -> bool:
    """Whether `check_spatial` lets floats of this shape pass."""
    return is_float(dtype) and len(shape) in (n + 1, n + 2) and 0 not in shape[-n - 1 :]


@lru_cache(512)
def _plain(
    n: int, dtype: DType, shape: tuple[int, ...], k: int, s: int, p: int, d: int, ceil_mode: bool
) -> tuple[Params, tuple[int, ...]] | None:
    """What `settled` gives for floats and numbers that stand for all axes; None: look closer."""
    if not fits_windows(n, dtype, shape) or min(k, s, d) < 1 or p < 0:
        return None
    count = _counts(shape[-n:], (k,) * n, (s,) * n, (p,) * n, (d,) * n, ceil_mode)
    if count is None or min(count) < 1:
        return None
    return _params((k,) * n, (s,) * n, (p,) * n, (d,) * n), count


def settled(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool, integers: bool,
) -> tuple[Params, tuple[int, ...]]:  # fmt: skip
    """The numbers of the windows, three of each kind, and how many windows each axis has."""
    step = kernel_size if stride is None else stride
    numbers = type(kernel_size) is type(step) is type(padding) is type(dilation) is int
    if numbers and type(input) is Tensor:  # the usual call, a dict away
        found = _plain(
            n, input.dtype, input.shape, kernel_size, step, padding, dilation, bool(ceil_mode)
        )
        if found is not None:
            return found
    check_spatial(where, n, input, integers=integers)
    four, size = windows(where, n, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _params(*four), size


def targets(where: str, n: int, input: Tensor, output_size: Any) -> tuple[int, ...]:
    """The output sizes, None standing for the input's own."""
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) == 1:
        given *= n
    if len(given) != n:
        expect(False, where, f"an output_size of {n} integers", output_size, ArgumentError)
    own = input.shape[-n:]
    filled = tuple(o if s is None else s for s, o in zip(given, own, strict=True))
    return sizes(filled, n, where, "output_size")
