"""Other sample rates, by the package soxr."""

from __future__ import annotations

from typing import Any

from tallow.borrowing import from_numpy
from tallow.dtype import f32
from tallow.errors import ArgumentError, MissingExtraError, expect
from tallow.tensor import Tensor


def resample(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Samples `(length,)` at another rate (soxr's high quality).

    Raises:
        MissingExtraError: soxr is not installed, and the rates differ.
    """
    if rate == new_rate:
        return samples
    resampler = Resampler(rate, new_rate)
    return resampler.feed(samples, last=True)


class Resampler:
    """Samples at another rate, chunk by chunk; the state between chunks is kept."""

    def __init__(self, rate: int, new_rate: int) -> None:
        positive = rate > 0 and new_rate > 0
        expect(positive, "resample", "rates above 0", (rate, new_rate), ArgumentError)
        self._stream: Any = _soxr(rate, new_rate).ResampleStream(
            rate, new_rate, 1, dtype="float32"
        )  # fmt: skip

    def feed(self, samples: Tensor, *, last: bool = False) -> Tensor:
        """What can be told so far; with `last` all that is left."""
        made = self._stream.resample_chunk(samples.to(f32).contiguous().numpy(), last=last)
        return from_numpy(made)


def _soxr(rate: int, new_rate: int) -> Any:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError(
            f"sound of {rate} Hz at {new_rate} Hz needs soxr: pip install 'tallow[audio]'"
        ) from error
    return soxr
