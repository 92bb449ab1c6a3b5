"""Sound for models of speech: any file or samples at 16000 Hz, checked; its speech alone."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.ops import cat
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.tasks.voice_activity import VoiceActivity

RATE: Final = 16000
MOST_HOURS: Final = 24


def speech_samples(audio: Any, rate: int | None = None, where: str = "Transcriber") -> Tensor:
    """Samples `(length,)` in f32 at 16000 Hz: of a path, bytes, an open file, or samples.

    Samples are `(length,)` or `(channels, length)` of floats or i16, with their `rate` (16000
    unless given); channels are averaged.

    Raises:
        ArgumentError: a rate beside a file, no samples, more than 24 hours of them, or samples that
            are not finite.
        FormatError, MissingFileError, MissingExtraError: as `load_audio`.
    """
    from tallow.audio import as_mono, load_audio, resample

    name = ""
    if isinstance(audio, str | os.PathLike | bytes) or hasattr(audio, "read"):
        said = "no rate beside a file, which has its own"
        expect(rate is None, where, said, rate, ArgumentError)
        samples, own = load_audio(audio)
        name = f"{os.fspath(audio)}: " if isinstance(audio, str | os.PathLike) else ""
    else:
        samples, own = as_mono(audio, where), RATE if rate is None else rate
        good = type(own) is int and own > 0
        expect(good, where, "a rate above 0", repr(own), ArgumentError)
    count = samples.shape[0]
    at = f"{name}{where}"
    expect(count > 0, at, "a sound of at least one sample", "an empty one", ArgumentError)
    hours = count / own / 3600
    wanted = f"at most {MOST_HOURS} hours of sound"
    expect(hours <= MOST_HOURS, at, wanted, f"{hours:.1f}", ArgumentError)
    _check_finite(samples, own, at)
    return resample(samples.to(f32), own, RATE)


def _check_finite(samples: Tensor, rate: int, where: str) -> None:
    import numpy as np

    values = samples.numpy()
    if np.isfinite(values.sum(dtype=np.float64)):
        return
    first = int(np.flatnonzero(~np.isfinite(values))[0])
    got = f"{values[first]} at {first / rate:.3f} s"
    raise ArgumentError(f"{where}: expected finite samples, got {got}")


class Spoken:
    """The stretches of a sound in which somebody speaks, one behind the other, and their times."""

    def __init__(self, samples: Tensor, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = list(spans)
        self.samples = cat([samples[a:b] for a, b in self.spans]) if self.spans else samples[:0]
        self._starts = [0]
        for first, last in self.spans:
            self._starts.append(self._starts[-1] + last - first)

    def time(self, seconds: float) -> float:
        """When in the whole sound a moment of the spoken part is."""
        if not self.spans:
            return seconds
        at = seconds * RATE
        index = min(max(bisect_right(self._starts, at) - 1, 0), len(self.spans) - 1)
        first, last = self.spans[index]
        return min(first + at - self._starts[index], last) / RATE

    def groups(self, most: int) -> list[tuple[int, int]]:
        """Runs of whole stretches of at most `most` samples; longer stretches are cut."""
        made: list[tuple[int, int]] = []
        for begin, end in zip(self._starts, self._starts[1:], strict=False):
            for at in range(begin, end, most):
                stop = min(at + most, end)
                if made and made[-1][1] == at and stop - made[-1][0] <= most:
                    made[-1] = made[-1][0], stop
                else:
                    made.append((at, stop))
        return made


def spoken_parts(
    samples: Tensor, vad: VoiceActivity, pad: float = 0.4, silence: float = 2.0
) -> Spoken:
    """The parts with speech, with `pad` seconds around; silences below `silence` s are kept."""
    spans: list[tuple[int, int]] = []
    length = samples.shape[0]
    for each in vad.segments(samples, RATE):
        begin = max(0, round((each.start - pad) * RATE))
        end = min(length, round((each.end + pad) * RATE))
        if spans and begin - spans[-1][1] < (silence - 2 * pad) * RATE:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((begin, end))
    return Spoken(samples, spans)
