"""A sound that is transcribed: what is heard of it, and what of that was read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tallow.tasks.speech_reading import Reading, restored
from tallow.tasks.speech_sound import RATE, Spoken, spoken_parts
from tallow.tasks.transcript import Segment, Transcription, joined
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.tasks.voice_activity import VoiceActivity


class HeardSound:
    """A sound, what is heard of it, and what is read."""

    def __init__(self, samples: Tensor, vad: VoiceActivity | None) -> None:
        self.duration = samples.shape[0] / RATE
        self._spoken = None if vad is None else spoken_parts(samples, vad)
        self.heard = samples if self._spoken is None else self._spoken.samples
        self.language, self.certainty = "en", 1.0
        self.readings: list[tuple[float, Reading]] = []

    def pieces(self, apart: bool, most: int) -> list[tuple[int, int]]:
        """What is read for itself: all of it, or stretches of at most `most` samples."""
        spoken: Spoken | None = self._spoken
        if apart and spoken is not None:
            return spoken.groups(most)
        return [(0, self.heard.shape[0])]

    def transcription(self) -> Transcription:
        """What was found, at the times of the whole sound."""
        made: list[Segment] = []
        for offset, reading in self.readings:
            moved = partial(self.time, offset)
            made += [restored(segment, moved) for segment in reading.segments]
        text = joined(made)
        return Transcription(text, tuple(made), self.language, self.duration, self.certainty)

    def time(self, offset: float, seconds: float) -> float:
        """When it is in the whole sound, of seconds behind an offset of what is heard."""
        at = offset + seconds
        return min(self.duration, at if self._spoken is None else self._spoken.time(at))
