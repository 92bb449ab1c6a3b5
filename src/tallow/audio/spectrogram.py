"""Spectra of sound: power by frequency, bands of the mel scale, and Whisper's log-mel features.

A transform of a few hundred points over many pieces is a product with a table of cosines and sines:
of a real piece under a window alike from both ends, sums and differences of what lies around its
middle are multiplied, which is half the work.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.ops import cat, clamp, flip, matmul, maximum
from tallow.tensor import Tensor

Scale = Literal["slaney", "htk"]
_AT_ONCE = 3000  # pieces that are transformed together, for the memory


def mel_filters(
    bands: int,
    n_fft: int,
    rate: int,
    *,
    low: float = 0.0,
    high: float | None = None,
    scale: Scale = "slaney",
    norm: bool = True,
) -> Tensor:
    """Triangles over frequencies, `(n_fft // 2 + 1, bands)`, equally wide on a scale of pitch.

    `slaney` is linear below 1000 Hz and logarithmic above (Auditory Toolbox, 1998), `htk` is
    2595 log10(1 + f / 700); with `norm` each triangle has the area 2 / its width in Hz. `high` is
    half the rate unless given.

    Raises:
        ArgumentError: no bands, or no room between `low` and `high`.
    """
    import numpy as np

    from tallow.borrowing import from_numpy

    top = rate / 2 if high is None else high
    expect(bands > 0 and n_fft > 0, "mel_filters", "sizes above 0", (bands, n_fft), ArgumentError)
    good = 0 <= low < top <= rate / 2
    expect(good, "mel_filters", f"0 <= low < high <= {rate / 2:g}", (low, top), ArgumentError)
    to_mel, to_hertz = _SCALES[scale]
    edges = to_hertz(np.linspace(to_mel(low), to_mel(top), bands + 2))
    frequencies = np.linspace(0, rate / 2, n_fft // 2 + 1)
    slopes = edges[None, :] - frequencies[:, None]
    widths = np.diff(edges)
    made = np.maximum(0, np.minimum(-slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]))
    if norm:
        made = made * (2 / (edges[2:] - edges[:-2]))
    return from_numpy(made.astype(np.float32))


def _slaney_mel(hertz: Any) -> Any:
    import numpy as np

    above = 15 + np.log(np.maximum(hertz, 1e-9) / 1000) * (27 / math.log(6.4))
    return np.where(hertz < 1000, hertz * 3 / 200, above)


def _slaney_hertz(mel: Any) -> Any:
    import numpy as np

    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * (math.log(6.4) / 27)))


def _htk_mel(hertz: Any) -> Any:
    import numpy as np

    return 2595 * np.log10(1 + hertz / 700)


def _htk_hertz(mel: Any) -> Any:
    return 700 * (10 ** (mel / 2595) - 1)


_SCALES = {"slaney": (_slaney_mel, _slaney_hertz), "htk": (_htk_mel, _htk_hertz)}


class PowerSpectrum:
    """The power of each frequency in Hann-windowed pieces of `n_fft` samples, every `hop`."""

    def __init__(self, n_fft: int, hop: int) -> None:
        import numpy as np

        from tallow.borrowing import from_numpy

        even = n_fft > 0 and n_fft % 2 == 0
        expect(even, "PowerSpectrum", "an even n_fft above 0", n_fft, ArgumentError)
        expect(hop > 0, "PowerSpectrum", "a hop above 0", hop, ArgumentError)
        self.n_fft, self.hop = n_fft, hop
        half = n_fft // 2
        n, k = np.arange(1, half + 1)[:, None], np.arange(half + 1)[None, :]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft)
        angles = 2 * np.pi * (n * k % n_fft) / n_fft
        # The first sample of a piece has no weight in a periodic Hann window.
        self._cosines = from_numpy((window * np.cos(angles)).astype(np.float32))
        self._sines = from_numpy((window * np.sin(angles))[:-1].astype(np.float32))

    def count(self, length: int) -> int:
        """How many whole pieces `length` samples have."""
        return max(0, (length - self.n_fft) // self.hop + 1)

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples `(length,)` → power `(pieces, n_fft // 2 + 1)`."""
        half = self.n_fft // 2
        pieces = samples.unfold(0, self.n_fft, self.hop)
        first = pieces[:, 1:half].contiguous()
        last = flip(pieces[:, half + 1 :], [1])
        sums = cat([first + last, pieces[:, half : half + 1]], 1)
        return matmul(sums, self._cosines).square() + matmul(first - last, self._sines).square()


class LogMel:
    """Whisper's features: log10 of the power in mel bands, every 10 ms of sound of 16000 Hz.

    Source: `log_mel_spectrogram` of arXiv 2212.04356's code, as `WhisperFeatureExtractor`.
    """

    rate = 16000
    hop = 160
    n_fft = 400

    def __init__(self, bands: int = 80) -> None:
        self.bands = bands
        self._power = PowerSpectrum(self.n_fft, self.hop)
        self._filters = mel_filters(bands, self.n_fft, self.rate)

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples `(length,)` → `(bands, length // 160)`, all within 8 powers of ten, about 1.

        A sound shorter than the half of a piece is filled up with silence to that length.
        """
        found = self.logarithms(samples)
        if found.shape[0] == 0:
            return found.T
        top = found.amax().item() - 8.0
        for start in range(0, found.shape[0], _AT_ONCE):
            part = found[start : start + _AT_ONCE].clone()  # gradients need what it was
            found[start : start + _AT_ONCE] = (clamp(part, min=top) + 4.0) / 4.0
        return found.T

    def logarithms(self, samples: Tensor) -> Tensor:
        """Log10 of the power of each band, `(length // 160, bands)`, at least -10."""
        frames, half = samples.shape[0] // self.hop, self.n_fft // 2
        if samples.shape[0] <= half:
            samples = cat([samples, zeros(half + 1 - samples.shape[0])])
        made = zeros(frames, self.bands)
        for start in range(0, frames, _AT_ONCE):
            stop = min(start + _AT_ONCE, frames)
            part = _reflected(samples, start * self.hop - half, (stop - 1) * self.hop + half)
            bands = matmul(self._power(part.to(f32)), self._filters)
            made[start:stop] = maximum(bands, bands.new_full((), 1e-10)).log10()
        return made


def _reflected(samples: Tensor, first: int, last: int) -> Tensor:
    """Samples from `first` to `last`, which may lie outside: there they go back from the edge."""
    count = samples.shape[0]
    parts = [samples[max(first, 0) : min(last, count)]]
    if first < 0:
        parts.insert(0, flip(samples[1 : 1 - first], [0]))
    if last > count:
        parts.append(flip(samples[2 * count - 1 - last : count - 1], [0]))
    return cat(parts) if len(parts) > 1 else parts[0]
