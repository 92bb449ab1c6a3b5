"""SpeakerEmbedder: vectors of voices, near each other where one person speaks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tallow.audio.spectrogram import PowerSpectrum, mel_filters
from tallow.audio.waves import WaveFeatures
from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.ops import cat, matmul, stack
from tallow.tasks.base import Task
from tallow.tensor import Tensor

# Of resemblyzer: pieces of 1.6 s, about 1.3 of them a second.
_RATE, _HOP, _FFT = 16000, 160, 400
_PIECE = 160  # frames
_STEP = round(_RATE / 1.3 / _HOP)
_COVERED = 0.75  # of a last piece, so that it counts
_LOUDNESS = -30.0  # dB of full scale that softer sounds are brought to


class SpeakerEmbedder(Task[Any, Tensor]):
    """A vector of who speaks: `embedder("a.wav")` is `(size,)`, of several sounds `(n, size)`.

    `ref` is the alias `ge2e` (resemblyzer's encoder, 256 wide), or a model of transformers with an
    x-vector head (Wav2Vec2, WavLM, UniSpeech-SAT, Data2VecAudio). Vectors have length 1, so that
    the product of two is their cosine. Sounds are paths, bytes of files, open files, or samples at
    `rate`. Silences are left in; resemblyzer's package cuts them by a detector of its own.

    Raises:
        HubError, FormatError, ModelError: as `tallow.models.load`.
    """

    task = "audio-xvector"
    takes = ()
    batch_size = 8

    def __init__(self, ref: str | os.PathLike[str] = "ge2e", **options: Any) -> None:
        super().__init__(ref, **options)
        self._mels = _Mels(self.model.config) if hasattr(self.model, "lstm") else None
        folder = self.model.folder
        self._features = WaveFeatures() if folder is None else WaveFeatures.from_folder(folder)

    @property
    def rate(self) -> int:
        """Samples a second that the model takes."""
        return _RATE if self._mels is not None else self._features.sampling_rate

    def __call__(
        self, sounds: Any, rate: int | None = None, *, batch_size: int | None = None
    ) -> Tensor:
        """The vectors of sounds; samples `(length,)` are of `rate` (the model's unless given).

        Raises:
            BatchError: some sounds failed; the others' vectors are kept in it.
        """
        single = self.is_one(sounds)
        items = [(each, rate) for each in ([sounds] if single else sounds)]
        found = self.each(items, batch_size) if items else []
        if single:
            return found[0]  # type: ignore[no-any-return]
        return stack(found) if found else zeros(0, self._size())

    def speaker(self, sounds: Iterable[Any], rate: int | None = None) -> Tensor:
        """One vector of several sounds of one person, `(size,)`: the mean of theirs."""
        return _unit(self(list(sounds), rate).mean(0))

    def similarity(self, one: Any, other: Any, rate: int | None = None) -> float:
        """The cosine between the voices of two sounds, 1 for the same."""
        a, b = self([one, other], rate)
        return float((a * b).sum().item())

    def check(self) -> None:
        """There is nothing that every sound needs."""

    @staticmethod
    def is_one(items: Any) -> bool:
        """Whether a call was given one sound: all but lists and other collections are."""
        some = isinstance(items, Iterable) and not hasattr(items, "read")
        return not some or isinstance(items, str | bytes | bytearray | Mapping) or _samples(items)

    def prepare(self, item: tuple[Any, int | None]) -> Tensor:
        """Samples `(length,)` at the model's rate."""
        from tallow.audio import as_mono, load_audio, resample

        sound, rate = item
        if isinstance(sound, str | os.PathLike | bytes | bytearray) or hasattr(sound, "read"):
            said = "no rate beside a file, which has its own"
            expect(rate is None, "SpeakerEmbedder", said, rate, ArgumentError)
            samples = load_audio(sound, self.rate).samples
        else:
            samples = resample(as_mono(sound, "SpeakerEmbedder"), rate or self.rate, self.rate)
        least = 1 if self._mels is not None else self._least()
        given = samples.shape[0]
        expect(given >= least, "SpeakerEmbedder", f"{least} samples or more", given, ArgumentError)
        good = bool(samples.isfinite().all().item())
        expect(good, "SpeakerEmbedder", "finite samples", "others", ArgumentError)
        return samples

    def _least(self) -> int:
        """How many samples an x-vector takes: frames for the delay layers, two behind them."""
        cfg: Any = self.model.config
        delays = zip(cfg.tdnn_kernel, cfg.tdnn_dilation, strict=True)
        need = 2 + sum((kernel - 1) * dilation for kernel, dilation in delays)
        for kernel, stride in reversed(list(zip(cfg.conv_kernel, cfg.conv_stride, strict=True))):
            need = (need - 1) * stride + kernel
        return int(need)

    def compute(self, prepared: Sequence[Tensor]) -> Sequence[Tensor]:
        """The vectors of prepared sounds."""
        model: Any = self.model
        if self._mels is not None:
            return [_unit(model(self._mels(each)).embeddings.mean(0)) for each in prepared]
        alone = model.rows_alone
        groups = [[each] for each in prepared] if alone else [list(prepared)]
        found: list[Tensor] = []
        for group in groups:
            values, mask = self._features.batch(group)
            made = model(values, None if len(group) == 1 else mask).embeddings
            found += [_unit(row) for row in made]
        return found

    def _size(self) -> int:
        cfg: Any = self.model.config
        return int(getattr(cfg, "model_embedding_size", 0) or cfg.xvector_output_dim)


class _Mels:
    """Pieces of mel spectra as resemblyzer makes them, by librosa's definition of these."""

    def __init__(self, config: Any) -> None:
        self._power = PowerSpectrum(_FFT, _HOP)
        self._filters = mel_filters(config.mel_n_channels, _FFT, _RATE)

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples `(length,)` → `(pieces, 160, mels)`."""
        x = self._loud(samples)
        starts = self._starts(x.shape[0])
        short = max(0, (starts[-1] + _PIECE) * _HOP - x.shape[0])
        x = cat([zeros(_FFT // 2), x, zeros(short + _FFT // 2)])
        mels = matmul(self._power(x), self._filters)
        return stack([mels[start : start + _PIECE] for start in starts])

    @staticmethod
    def _loud(x: Tensor) -> Tensor:
        power = x.square().mean().item()
        gain = _LOUDNESS - 10 * math.log10(power) if power > 0 else 0.0
        return x * 10 ** (gain / 20) if gain > 0 else x

    @staticmethod
    def _starts(length: int) -> list[int]:
        frames = -(-(length + 1) // _HOP)
        starts = list(range(0, max(1, frames - _PIECE + _STEP + 1), _STEP))
        covered = (length - starts[-1] * _HOP) / (_PIECE * _HOP)
        return starts[:-1] if len(starts) > 1 and covered < _COVERED else starts


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum().sqrt().clamp(min=1e-12)


def _samples(items: Any) -> bool:
    """Whether it is an array or tensor."""
    return hasattr(items, "shape") and hasattr(items, "dtype")
