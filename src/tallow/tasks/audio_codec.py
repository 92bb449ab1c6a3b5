"""AudioCodec: sounds as numbers of codebooks, and back to sounds."""

from __future__ import annotations

import os
from typing import Any

from tallow.audio.files import Sound
from tallow.autograd.mode import inference_mode
from tallow.errors import ArgumentError, ModelError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.models import load
from tallow.nn import functional as F
from tallow.tensor import Tensor


@dataclass(frozen=True)
class AudioCodes:
    """`codes` (books, n) of a sound of `length` samples; of EnCodec's pieces (pieces, books, n).

    SNAC's books are of several rates: then they are a tuple of tensors `(n / stride,)`.
    `scales` are what the samples of each piece were divided by, and `short` how much shorter the
    last piece is, where a model has pieces.
    """

    codes: Tensor | tuple[Tensor, ...]
    length: int
    scales: tuple[float, ...] | None = None
    short: int = 0


class AudioCodec:
    """A codec: `codec.decode(codec.encode("a.wav"))` is what is left of a sound.

    `ref` is a model of EnCodec, DAC, Mimi or SNAC, as of `tallow.models.load`.

    Raises:
        HubError, FormatError, ModelError: the model is not there, damaged, or no codec.
    """

    def __init__(self, ref: str | os.PathLike[str], **options: Any) -> None:
        self.model: Any = load(ref, **options)
        if not hasattr(self.model, "encode") or not hasattr(self.model, "quantizer"):
            found = type(self.model).__name__
            raise ModelError(f"{ref}: AudioCodec: expected an audio codec, found {found}")

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.model.config.sampling_rate)

    @property
    def channels(self) -> int:
        """1, or 2 for stereo."""
        return int(getattr(self.model.config, "audio_channels", 1))

    @property
    def _strided(self) -> bool:
        """Whether its books are of several rates."""
        return hasattr(self.model.config, "vq_strides")

    def encode(
        self,
        sound: Any,
        rate: int | None = None,
        *,
        bandwidth: float | None = None,
        books: int | None = None,
    ) -> AudioCodes:
        """The codes of a sound: a path, bytes of a file, an open file, or samples at `rate`.

        Samples are `(length,)` or `(channels, length)`, of the codec's rate unless given; others
        are resampled (the package soxr). `bandwidth` (kbit/s) is EnCodec's, `books` how many
        codebooks the others take; by default EnCodec's lowest rate, and all books.

        Raises:
            ArgumentError: an option is not the model's, or there are no samples.
        """
        x = self._samples(sound, rate)
        expect(x.shape[1] > 0, "encode", "a sound of at least one sample", "an empty one",
               ArgumentError)  # fmt: skip
        hop = getattr(self.model.config, "hop_length", 1)  # DAC's sounds have whole frames
        given = F.pad(x, [0, -x.shape[1] % hop])
        options = self._options(bandwidth, books)
        with inference_mode():
            found = self.model.encode(given.unsqueeze(0), **options)
        if self._strided:
            return AudioCodes(tuple(each[0] for each in found.audio_codes), x.shape[1])
        if "bandwidth" not in options:
            return AudioCodes(found.audio_codes[0], x.shape[1])
        scales = [each for each in found.audio_scales if each is not None]
        told = tuple(each.item() for each in scales) if scales else None
        return AudioCodes(
            found.audio_codes[:, 0], x.shape[1], told, found.last_frame_pad_length or 0
        )

    def _options(self, bandwidth: float | None, books: int | None) -> dict[str, Any]:
        own = hasattr(self.model.config, "target_bandwidths")
        kind = type(self.model).__name__
        refused = {"bandwidth": None if own else bandwidth}
        refused["books"] = books if own or self._strided else None
        for name, value in refused.items():
            expect(value is None, "encode", f"no {name} for {kind}", value, ArgumentError)
        if own:
            return {"bandwidth": bandwidth}
        if self._strided:
            return {}
        name = "n_quantizers" if hasattr(self.model.config, "n_codebooks") else "num_quantizers"
        return {name: books}

    def decode(self, codes: AudioCodes) -> Sound:
        """The sound of codes: samples `(length,)`, or `(2, length)` of a stereo codec, and rate."""
        with inference_mode():
            if isinstance(codes.codes, tuple):
                made = self.model.decode(audio_codes=[each.unsqueeze(0) for each in codes.codes])
            elif codes.codes.ndim == 3:
                from tallow.factories import tensor

                scales = None
                if codes.scales is not None:
                    scales = [tensor([[each]]) for each in codes.scales]
                made = self.model.decode(
                    codes.codes.unsqueeze(1), scales, last_frame_pad_length=codes.short
                )
            else:
                made = self.model.decode(audio_codes=codes.codes.unsqueeze(0))
        x = made[0, ..., : codes.length]
        return Sound(x[0] if x.ndim == 2 and x.shape[0] == 1 else x, self.rate)

    def _samples(self, sound: Any, rate: int | None) -> Tensor:
        """`(channels, length)` at the codec's rate."""
        from tallow.audio import as_mono, load_audio, resample
        from tallow.ops import stack

        if isinstance(sound, str | os.PathLike | bytes | bytearray) or hasattr(sound, "read"):
            said = "no rate beside a file, which has its own"
            expect(rate is None, "encode", said, rate, ArgumentError)
            samples, own = load_audio(sound, mono=False)
        else:
            from tallow.factories import as_tensor, tensor

            samples = as_tensor(tensor(sound) if isinstance(sound, list) else sound)
            own = self.rate if rate is None else rate
        many = samples.ndim == 2 and samples.shape[0] == 2 == self.channels
        rows = [samples[0], samples[1]] if many else [samples]
        made = [resample(as_mono(row, "encode"), own, self.rate) for row in rows]
        x = stack(made * self.channels if len(made) == 1 else made)
        good = bool(x.isfinite().all().item())
        expect(good, "encode", "finite samples", "others", ArgumentError)
        return x
