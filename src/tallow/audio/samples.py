"""Samples of one channel, as floats between -1 and 1 and as 16-bit integers."""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32, i16
from tallow.errors import DTypeError, expect
from tallow.factories import as_tensor, tensor
from tallow.tensor import Tensor


def as_mono(samples: Any, where: str = "as_mono") -> Tensor:
    """Samples `(length,)` in f32 of `(length,)` or `(channels, length)`, the mean of channels.

    Takes tensors, arrays and lists of numbers; i16 is divided by 32768.

    Raises:
        ShapeError: it has other axes.
        DTypeError: its elements are neither floats nor i16.
    """
    x = _samples(samples, where)
    x = x.to(f32) / 32768 if x.dtype == i16 else x.to(f32)
    return x if x.ndim == 1 else x.mean(0)


def as_pcm(samples: Any, where: str = "as_pcm") -> Tensor:
    """Floats as i16: times 32767, rounded; what lies beyond -1 and 1 is cut. Errors as above."""
    x = _samples(samples, where)
    return x if x.dtype == i16 else (x.to(f32).clamp(-1, 1) * 32767).round().to(i16)


def _samples(given: Any, where: str) -> Tensor:
    x = as_tensor(tensor(given, dtype=f32) if isinstance(given, list) else given)
    expect(x.ndim in (1, 2), where, "samples (length,) or (channels, length)", [*x.shape])
    good = x.dtype.is_floating_point or x.dtype == i16
    expect(good, where, "samples of floats or i16", x.dtype, DTypeError)
    return x
