"""Where speech begins and ends, by the probabilities of windows of sound."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass

PAUSE_MS = 98
"""A pause that long is a place to cut speech that is longer than `max_speech_duration_s`."""


@dataclass(frozen=True)
class SpeechRules:
    """What counts as speech; names and meanings are those of Silero's `get_speech_timestamps`."""

    threshold: float = 0.5
    neg_threshold: float | None = None
    min_speech_duration_ms: float = 250
    max_speech_duration_s: float = float("inf")
    min_silence_duration_ms: float = 100
    speech_pad_ms: float = 30

    def __post_init__(self) -> None:
        where = "VoiceActivity"
        for name in ("threshold", "neg_threshold"):
            value = getattr(self, name)
            good = value is None or 0 <= value <= 1
            expect(good, where, f"{name} between 0 and 1", value, ArgumentError)
        for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"):
            value = getattr(self, name)
            expect(value >= 0, where, f"{name} of 0 or more", value, ArgumentError)
        longest = self.max_speech_duration_s
        expect(longest > 0, where, "max_speech_duration_s above 0", longest, ArgumentError)

    @property
    def exit_threshold(self) -> float:
        """What a probability has to fall below to end speech."""
        given = self.neg_threshold
        return max(self.threshold - 0.15, 0.01) if given is None else given


def speech_spans(
    probabilities: Sequence[float], length: int, rate: int, window: int, rules: SpeechRules
) -> list[tuple[int, int]]:
    """Begin and end of each stretch of speech, in samples of `length`, padded."""
    spans = _Spans(length, rate, window, rules)
    for index, probability in enumerate(probabilities):
        spans.step(index * window, probability)
    return _padded(spans.finished(), length, rate * rules.speech_pad_ms / 1000)


class _Spans:
    """The spans so far, and the one that has begun."""

    def __init__(self, length: int, rate: int, window: int, rules: SpeechRules) -> None:
        self.length, self.rules = length, rules
        pad = rate * rules.speech_pad_ms / 1000
        self.shortest = rate * rules.min_speech_duration_ms / 1000
        self.longest = rate * rules.max_speech_duration_s - window - 2 * pad
        self.silence_needed = rate * rules.min_silence_duration_ms / 1000
        self.pause_needed = rate * PAUSE_MS / 1000
        self.found: list[tuple[int, int]] = []
        self._reset()

    def _reset(self, start: int | None = None) -> None:
        self.start = start
        self.silent_since: int | None = None
        self.pauses: list[tuple[int, int]] = []  # length, begin

    def step(self, now: int, probability: float) -> None:
        """Take the window that begins at `now`."""
        is_speech = probability >= self.rules.threshold
        if is_speech and self.silent_since is not None:
            if now - self.silent_since > self.pause_needed:
                self.pauses.append((now - self.silent_since, self.silent_since))
            self.silent_since = None
        if self.start is None:
            if is_speech:
                self.start = now
            return
        if now - self.start > self.longest and not self._cut(self.start, now):
            return
        if probability < self.rules.exit_threshold:
            self._silent(now)

    def _cut(self, start: int, now: int) -> bool:
        """End speech that is too long; whether it goes on after its longest pause."""
        if not self.pauses:
            self.found.append((start, now))
            self._reset()
            return False
        size, begin = max(self.pauses, key=lambda pause: pause[0])
        self.found.append((start, begin))
        self._reset(begin + size)
        return True

    def _silent(self, now: int) -> None:
        assert self.start is not None
        if self.silent_since is None:
            self.silent_since = now
        if now - self.silent_since < self.silence_needed:
            return
        if self.silent_since - self.start > self.shortest:
            self.found.append((self.start, self.silent_since))
        self._reset()

    def finished(self) -> list[tuple[int, int]]:
        """All spans, that which the end of the sound ends too."""
        if self.start is not None and self.length - self.start > self.shortest:
            self.found.append((self.start, self.length))
        return self.found


def _padded(spans: list[tuple[int, int]], length: int, pad: float) -> list[tuple[int, int]]:
    """Spans longer by `pad` samples on both sides; two share a silence that is too short for it."""
    begins, ends = [begin for begin, _ in spans], [end for _, end in spans]
    for i in range(len(spans)):
        if i == 0:
            begins[0] = int(max(0, begins[0] - pad))
        if i + 1 < len(spans):
            silence = begins[i + 1] - ends[i]
            if silence < 2 * pad:
                ends[i] += silence // 2
                begins[i + 1] = max(0, begins[i + 1] - silence // 2)
                continue
            begins[i + 1] = int(max(0, begins[i + 1] - pad))
        ends[i] = int(min(length, ends[i] + pad))
    return list(zip(begins, ends, strict=True))
