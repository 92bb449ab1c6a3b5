"""Fourier transforms as products with constant matrices, which a plan can hold; long ones by numpy.

A transform of n points is a product with an n × n matrix: at a few hundred points as fast as a
transform by numpy, and without a call into Python. Numbers are real, (…, n, 1), or complex,
(…, n, 2), in f32 or f64.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

from tallow import ops
from tallow.borrowing import from_numpy
from tallow.dtype import f64
from tallow.ops.fft import fft, ifft, irfft, paired_transform, rfft
from tallow.tensor import Tensor

# Elements of a matrix: with more, numpy is faster. (400 real points to 201, as in speech models.)
_MOST: Final = 400 * 402


def transform(x: Tensor, *, forward: bool, half: bool = False) -> Tensor:
    """Complex numbers (…, n, 2), or the first n // 2 + 1; the inverse is divided by n."""
    n, parts = x.shape[-2:]
    count = n // 2 + 1 if half else n
    scale = 1.0 if forward else 1 / n
    if 2 * count * n * parts <= _MOST:
        found = _product(x, _matrix(n, count, parts, forward, scale, x.dtype is f64))
        return found.reshape(*x.shape[:-2], count, 2)
    if x.dtype is f64:
        return _wide(x, forward, scale).narrow(-2, 0, count)
    if parts == 1 and half and forward:
        return rfft(x.squeeze(-1)).view_as_real()
    found = (fft if forward else ifft)(_numbers(x)).view_as_real()
    return found.narrow(-2, 0, count)


def real_inverse(x: Tensor, n: int) -> Tensor:
    """The n real numbers (…, n, 1) whose transform begins with complex `x` (…, n // 2 + 1, 2)."""
    if n * (n // 2 + 1) * 2 <= _MOST:
        return _product(x, _half_inverse(n, x.dtype is f64)).unsqueeze(-1)
    if x.dtype is not f64:
        return irfft(_numbers(x), n).unsqueeze(-1)
    # The other half is its mirror image, conjugated.
    mirrored = x.narrow(-2, 1, (n - 1) // 2).flip(-2) * x.new_tensor([1.0, -1.0])
    return _wide(ops.cat([x, mirrored], -2), False, 1 / n).narrow(-1, 0, 1)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    return ops.linear(x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1]), matrix.to(x.device))


def _numbers(x: Tensor) -> Tensor:
    return x.squeeze(-1) if x.shape[-1] == 1 else x.contiguous().view_as_complex()


def _wide(x: Tensor, forward: bool, scale: float) -> Tensor:
    """Of f64, for whose complex numbers there is no dtype."""
    x = x if x.shape[-1] == 2 else ops.constant_pad_nd(x, [0, 1])
    return paired_transform(x, x.ndim - 2, forward, scale)


def _kept(numbers: Any, wide: bool) -> Tensor:
    import numpy as np

    return from_numpy(np.ascontiguousarray(numbers, np.float64 if wide else np.float32))


@lru_cache(maxsize=16)
def _matrix(n: int, count: int, parts: int, forward: bool, scale: float, wide: bool) -> Tensor:
    """(count * 2, n * parts): from the parts of numbers to those of results."""
    import numpy as np

    angles = np.outer(np.arange(count), np.arange(n)) % n * (2 * math.pi / n)
    cos, sin = np.cos(angles) * scale, np.sin(angles) * (-scale if forward else scale)
    rows = np.array([[cos, -sin][:parts], [sin, cos][:parts]])
    return _kept(np.moveaxis(rows, (0, 1), (1, 3)).reshape(2 * count, -1), wide)


@lru_cache(maxsize=16)
def _half_inverse(n: int, wide: bool) -> Tensor:
    """(n, (n // 2 + 1) * 2): what stands for its mirror image, too, counts twice."""
    import numpy as np

    points = np.arange(n // 2 + 1)
    angles = np.outer(np.arange(n), points) % n * (2 * math.pi / n)
    twice = np.where((points == 0) | (points * 2 == n), 1.0, 2.0) / n
    both = np.stack([np.cos(angles) * twice, -np.sin(angles) * twice], -1)
    return _kept(both.reshape(n, -1), wide)
