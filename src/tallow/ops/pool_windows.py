"""Windows of pooling ops: how many an axis has, and their kernel, stride, padding and dilation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..errors import ArgumentError, expect
from ..tensor import Tensor
from .spatial import Sizes, sizes


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
