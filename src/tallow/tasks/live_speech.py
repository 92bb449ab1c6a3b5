"""Speech as it comes: segments that are sure, and what may follow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallow.autograd.mode import inference_mode
from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.ops import cat
from tallow.tasks.speech_decoding import SpeechOptions
from tallow.tasks.speech_reading import FRAMES, Reading, restored
from tallow.tasks.speech_sound import RATE
from tallow.tasks.transcript import Segment
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.tasks.transcriber import Transcriber

_SETTLED: Final = 1.0  # seconds before the end of what was heard that may still change
_LEAST: Final = 0.4  # seconds that are worth a pass


class LiveSpeech(NamedTuple):
    """What is known after `time` seconds: new sure segments, and the text that may follow them."""

    time: float
    segments: tuple[Segment, ...]
    pending: str


def live(
    transcriber: Transcriber, chunks: Iterable[Any], rate: int, options: SpeechOptions, every: float
) -> Iterator[LiveSpeech]:
    """Read chunks as they come; see `Transcriber.stream`."""
    heard = _Heard(rate)
    reader = _LiveReader(transcriber, options)
    waiting = 0
    for chunk in chunks:
        samples = heard.feed(chunk)
        reader.add(samples)
        waiting += samples.shape[0]
        if waiting >= every * RATE:
            waiting = 0
            yield reader.read(final=False)
    reader.add(heard.rest())
    yield reader.read(final=True)


class _Heard:
    """Chunks at any rate, as samples at 16000 Hz."""

    def __init__(self, rate: int) -> None:
        from tallow.audio import Resampler

        good = type(rate) is int and rate > 0
        expect(good, "stream", "a rate above 0", repr(rate), ArgumentError)
        self._resampler = None if rate == RATE else Resampler(rate, RATE)

    def feed(self, chunk: Any) -> Tensor:
        from tallow.audio import as_mono

        samples = as_mono(chunk, "stream")
        finite = bool(samples.isfinite().all().item())
        expect(finite, "stream", "finite samples", "NaN or infinity", ArgumentError)
        return samples if self._resampler is None else self._resampler.feed(samples)

    def rest(self) -> Tensor:
        return zeros(0) if self._resampler is None else self._resampler.feed(zeros(0), last=True)


class _LiveReader:
    """What is not sure yet, and its place in the sound."""

    def __init__(self, transcriber: Transcriber, options: SpeechOptions) -> None:
        self._transcriber, self._options = transcriber, options
        self._samples = zeros(0)
        self._start = 0  # samples that are done
        self._told = options.initial_prompt or ""
        self._language: str | None = options.language

    def add(self, samples: Tensor) -> None:
        self._samples = cat([self._samples, samples])

    @inference_mode()
    def read(self, *, final: bool) -> LiveSpeech:
        """Read what is held; all of it is sure at the end."""
        owner, sure, pending = self._transcriber, [], ""
        time = (self._start + self._samples.shape[0]) / RATE
        while self._samples.shape[0] >= _LEAST * RATE:
            count = self._samples.shape[0]
            window = owner._window * owner._mel.hop
            full = count >= window
            reading = self._read_window(self._samples[:window])
            found, end = reading.segments, min(count, window) / RATE
            if not (final or full):
                keep = [s for s in found[:-1] if s.end <= end - _SETTLED]
                pending = "".join(s.text for s in found[len(keep) :]).strip()
                done = round(keep[-1].end * RATE) if keep else 0
            else:
                keep, done = found, min(reading.seek * RATE // FRAMES, count)
            at = self._start / RATE
            sure += [restored(s, lambda t, at=at: at + t) for s in keep]  # type: ignore[misc]
            self._forget(done, keep)
            if not (final or full) or done == 0:
                break
        return LiveSpeech(time, tuple(sure), pending)

    def _read_window(self, samples: Tensor) -> Reading:
        from tallow.lazy_dataclasses import replace

        owner = self._transcriber
        features = owner._mel(samples)
        language = self._known_language(features)
        options = replace(self._options, initial_prompt=self._told or None)
        reading = Reading(features, owner._decoder, language, options, window=owner._window)
        owner._read([reading], options)
        return reading

    def _known_language(self, features: Tensor) -> str:
        owner = self._transcriber
        if self._language is not None:
            return owner.tokens.code(self._language)
        if not owner.tokens.multilingual:
            return "en"
        shares = owner._languages(owner._windows([features]))[0]
        code = max(shares, key=lambda each: shares[each])
        if features.shape[1] >= 5 * FRAMES:  # enough to be sure
            self._language = code
        return code

    def _forget(self, done: int, keep: list[Segment]) -> None:
        self._samples = self._samples[done:].clone()
        self._start += done
        if keep and self._options.condition_on_previous_text:
            said = "".join(s.text for s in keep).strip()
            self._told = f"{self._told} {said}".strip()[-500:]
