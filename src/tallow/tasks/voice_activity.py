"""VoiceActivity: where somebody speaks, by Silero's model, in files and in streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from tallow.autograd.mode import inference_mode
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor, zeros
from tallow.tasks.speech_spans import SpeechRules, speech_spans
from tallow.tasks.voice_models import open_voice
from tallow.tensor import Tensor

Tell = Callable[[int, int], None]

_BLOCK = 256  # windows of which inputs are made at once


class Segment(NamedTuple):
    """A stretch of speech in seconds, and the mean probability of its windows."""

    start: float
    end: float
    probability: float


class SpeechEvent(NamedTuple):
    """Speech begins or ends, `time` seconds after the begin of a stream."""

    kind: Literal["start", "end"]
    time: float


class VoiceActivity:
    """Finds speech: `vad.segments("talk.wav")`, or `vad.stream()` for sound as it comes.

    `ref` is an alias, a path or a reference of one of Silero's models (version 5 and later): an
    ONNX file, the safetensors file of 16000 Hz, or the .jit of both rates. The other arguments are
    those of its `get_speech_timestamps`. Sound of 8000 Hz is taken as it is; of multiples of
    16000 Hz every n-th sample is taken; other rates are resampled to 16000 Hz (the package soxr).
    Files of other formats than PCM wav need soundfile.

    Raises:
        HubError, FormatError, ModelError: the model is not there, or is another one.
        ArgumentError: a threshold or duration is out of its range.
    """

    def __init__(
        self,
        ref: str | os.PathLike[str] = "silero-vad",
        *,
        threshold: float = 0.5,
        neg_threshold: float | None = None,
        min_speech_duration_ms: float = 250,
        max_speech_duration_s: float = float("inf"),
        min_silence_duration_ms: float = 100,
        speech_pad_ms: float = 30,
    ) -> None:
        self.rules = SpeechRules(
            threshold, neg_threshold, min_speech_duration_ms, max_speech_duration_s,
            min_silence_duration_ms, speech_pad_ms,
        )  # fmt: skip
        self.model = open_voice(ref)
        self._rates = self.model.rates

    def segments(
        self, wave: Any, rate: int | None = None, *, progress: Tell | None = None
    ) -> list[Segment]:
        """The stretches of speech in a sound.

        `wave` is a path, the bytes of a file, or samples `(length,)` or `(channels, length)` of
        floats between -1 and 1, or of i16, with their `rate` (16000 unless given).
        `progress(done, count)` is told of windows.
        """
        samples, rate = self._sound(wave, rate)
        window = _window(rate)
        found = self._probabilities(samples, rate, progress)
        spans = speech_spans(found, samples.shape[0], rate, window, self.rules)
        made = []
        for begin, end in spans:
            inside = found[begin // window : -(-end // window)]
            made.append(Segment(begin / rate, end / rate, sum(inside) / len(inside)))
        return made

    def probabilities(
        self, wave: Any, rate: int | None = None, *, progress: Tell | None = None
    ) -> Tensor:
        """How likely each window of 32 ms is speech, `(windows,)`; arguments as of `segments`."""
        samples, rate = self._sound(wave, rate)
        return tensor(self._probabilities(samples, rate, progress)) if samples.numel() else zeros(0)

    def stream(self, rate: int = 16000) -> VoiceStream:
        """A stream of sound of `rate`; there may be several at once, each with its own state."""
        return VoiceStream(self, rate)

    def _probabilities(self, samples: Tensor, rate: int, progress: Tell | None) -> list[float]:
        from tallow.ops import cat

        window, context = _window(rate), _context(rate)
        count = -(-samples.shape[0] // window)
        rest = count * window - samples.shape[0]
        padded = cat([zeros(context), samples, zeros(rest)])
        tell, found = progress or _silent, []
        for index, value in enumerate(self._run(padded, rate, [zeros(2, 1, 128)]), 1):
            found.append(value)
            if index % _BLOCK == 0 or index == count:
                tell(index, count)
        return found

    def _run(self, samples: Tensor, rate: int, state: list[Tensor]) -> Iterator[float]:
        """The probability of each window of samples that begin with the context of the first.

        `state` holds one tensor, which is replaced as windows are done.
        """
        window, context = _window(rate), _context(rate)
        size = window + context
        count = (samples.shape[0] - context) // window
        for first in range(0, count, _BLOCK):
            last = min(first + _BLOCK, count)
            with inference_mode():
                part = samples[first * window : last * window + context]
                rows = part.unfold(0, size, window).contiguous()
            yield from self.model.run(rows, rate, state)

    def _sound(self, wave: Any, rate: int | None) -> tuple[Tensor, int]:
        """The samples `(length,)` at a rate that the model takes."""
        from tallow.audio import as_mono, load_audio

        if isinstance(wave, str | os.PathLike | bytes) or hasattr(wave, "read"):
            said = "no rate beside a file, which has its own"
            expect(rate is None, "VoiceActivity", said, rate, ArgumentError)
            samples, rate = load_audio(wave)
        else:
            samples, rate = as_mono(wave, "VoiceActivity"), 16000 if rate is None else rate
        taken = _taker(rate, self._rates)
        return taken.feed(samples, last=True), taken.rate


class VoiceStream:
    """Sound that comes in chunks of any length: `feed` tells where speech begins and ends.

    Events come as soon as they are known: a start with the first window of speech, however short
    the speech will be, an end after `min_silence_duration_ms` without it. Durations of speech,
    which need what comes later, are those of `VoiceActivity.segments` alone.
    """

    def __init__(self, vad: VoiceActivity, rate: int = 16000) -> None:
        self._vad, self._taker = vad, _taker(rate, vad._rates)
        self.reset()

    def reset(self) -> None:
        """Begin anew: no sound was heard."""
        self._taker.reset()
        self.rate = self._taker.rate
        self._window = _window(self.rate)
        self._state = [zeros(2, 1, 128)]
        self._waiting = zeros(_context(self.rate))  # the context of the next window, and its begin
        self._position = self._length = 0
        self._speaking = False
        self._silent_since: int | None = None
        self._closed = False
        self.probability = 0.0

    @property
    def speaking(self) -> bool:
        """Whether speech has begun and not ended."""
        return self._speaking

    def feed(self, chunk: Any) -> list[SpeechEvent]:
        """Take samples as `VoiceActivity.segments` does, of any number; the events in them."""
        from tallow.audio import as_mono

        expect(not self._closed, "feed", "an open stream", "one that was closed", ArgumentError)
        return self._take(self._taker.feed(as_mono(chunk, "feed"), last=False))

    def close(self) -> list[SpeechEvent]:
        """The events in what is left, and the end of speech that the end of the sound ends."""
        if self._closed:
            return []
        self._closed = True
        events = self._take(self._taker.feed(zeros(0), last=True))
        left = self._waiting.shape[0] - _context(self.rate)
        length = self._length
        if left:
            events += self._take(zeros(self._window - left))
        if self._speaking:
            self._speaking = False
            events.append(SpeechEvent("end", length / self.rate))
        return events

    def _take(self, samples: Tensor) -> list[SpeechEvent]:
        from tallow.ops import cat

        self._length += samples.shape[0]
        waiting = cat([self._waiting, samples])
        events = []
        before = self._position
        for probability in self._vad._run(waiting, self.rate, self._state):
            event = self._step(probability)
            if event is not None:
                events.append(event)
        self._waiting = waiting[self._position - before :].clone()
        return events

    def _step(self, probability: float) -> SpeechEvent | None:
        rules, now = self._vad.rules, self._position
        self._position += self._window
        self.probability = probability
        pad = int(self.rate * rules.speech_pad_ms / 1000)
        if probability >= rules.threshold:
            self._silent_since = None
            if not self._speaking:
                self._speaking = True
                return SpeechEvent("start", max(0, now - pad) / self.rate)
        elif probability < rules.exit_threshold and self._speaking:
            if self._silent_since is None:
                self._silent_since = now
            if now - self._silent_since >= self.rate * rules.min_silence_duration_ms / 1000:
                end = self._silent_since + pad
                self._speaking, self._silent_since = False, None
                return SpeechEvent("end", end / self.rate)
        return None


class _Strided:
    """Every n-th sample, over chunks."""

    def __init__(self, rate: int, step: int) -> None:
        self.rate, self._step = rate, step
        self.reset()

    def reset(self) -> None:
        self._skip = 0

    def feed(self, samples: Tensor, *, last: bool) -> Tensor:
        if self._step == 1:
            return samples
        taken = samples[self._skip :: self._step]
        self._skip = (self._skip - samples.shape[0]) % self._step
        return taken.contiguous()


class _Resampled:
    """Samples at 16000 Hz, over chunks."""

    rate = 16000

    def __init__(self, rate: int) -> None:
        self._given = rate
        self.reset()

    def reset(self) -> None:
        from tallow.audio import Resampler

        self._resampler = Resampler(self._given, self.rate)

    def feed(self, samples: Tensor, *, last: bool) -> Tensor:
        return self._resampler.feed(samples, last=last)


def _taker(rate: int, rates: tuple[int, ...]) -> _Strided | _Resampled:
    expect(rate > 0, "VoiceActivity", "a rate above 0", rate, ArgumentError)
    if rate in rates:
        return _Strided(rate, 1)
    return _Strided(16000, rate // 16000) if rate % 16000 == 0 else _Resampled(rate)


def _window(rate: int) -> int:
    return rate * 32 // 1000


def _context(rate: int) -> int:
    return rate * 4 // 1000


def _silent(done: int, count: int) -> None:
    pass
