"""A long sound read in windows of 30 seconds, each beginning where the last sure text ended.

Source: `transcribe.py` of OpenAI's Whisper (arXiv 2212.04356, 3.8 and 4.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tallow.models.whisper_vocab import TIME_STEP
from tallow.ops import cat
from tallow.tasks.speech_decoding import (
    Decoded,
    SpeechDecoder,
    SpeechOptions,
    is_silent,
)
from tallow.tasks.transcript import Segment, Word
from tallow.tasks.word_times import TimedWord
from tallow.tensor import Tensor

FRAMES: Final = 100  # of a second
PER_STEP: Final = round(FRAMES * TIME_STEP)  # frames from one time token to the next
_WARM: Final = 0.5  # temperature above which a text is no help for the next window

# Ids and the frames that they are of → words from the begin of the window.
Aligner = Callable[[list[int], int], list[TimedWord]]


class Reading:
    """The state of reading one sound: where the next window begins, and what was found so far.

    `features` are those of the whole sound, `(bands, frames)`; `window` is the frames of one pass
    of the encoder.
    """

    def __init__(
        self,
        features: Tensor,
        decoder: SpeechDecoder,
        language: str,
        options: SpeechOptions,
        *,
        window: int,
    ) -> None:
        self._features, self._decoder, self._options = features, decoder, options
        self._window = window
        self.language = language
        self.frames = features.shape[1]
        self.seek = 0
        self.segments: list[Segment] = []
        self._told: list[int] = []
        if options.initial_prompt:
            text = " " + options.initial_prompt.strip()
            self._told += decoder.tokenizer.encode(text, add_special=False)
        self._first = len(self._told)  # where the next prompt's text may begin, at the earliest
        self._since = 0

    @property
    def done(self) -> bool:
        """Whether the sound is at its end."""
        return self.seek >= self.frames

    def features(self) -> Tensor:
        """The next window, `(bands, window)`, with zeros behind the end."""
        count = min(self._window, self.frames - self.seek)
        part = self._features[:, self.seek : self.seek + count]
        if count == self._window:
            return part
        return cat([part, part.new_zeros(part.shape[0], self._window - count)], 1)

    def prompt(self) -> list[int]:
        """The ids before the next transcript: what was said before, and how it begins."""
        ids = self._decoder.ids
        begin = self._decoder.begin(self.language, self._options)
        before = self._told[self._since :][-(self._decoder.context // 2 - 1) :]
        return [ids.previous, *before, *begin] if before else begin

    def take(self, found: Decoded, align: Aligner | None) -> list[Segment]:
        """Go on behind what was found; the segments in it."""
        frames, start = min(self._window, self.frames - self.seek), self.seek
        if is_silent(found, self._options):
            self.seek += frames
            return []
        spans, step = self._spans(found.tokens, frames)
        made = [self._segment(found, start, *span) for span in spans]
        words: list[list[TimedWord]] = [[] for _ in made]
        if align is not None:
            words = self._words([segment.tokens for segment in made], align, frames)
            made = [
                self._with_words(segment, mine, start)
                for segment, mine in zip(made, words, strict=True)
            ]
            last = next((each[-1].end for each in reversed(words) if each), 0.0)
            if step < frames and last > 0:
                step = max(1, round(last * FRAMES))
        self.seek += step
        for segment in made:
            self._told += segment.tokens
        kept = [s for s in made if s.text.strip() and s.end > s.start]
        warm = found.temperature > _WARM
        if not self._options.condition_on_previous_text or warm:
            self._since = len(self._told)
        self.segments += kept
        return kept

    def _spans(
        self, tokens: list[int], frames: int
    ) -> tuple[list[tuple[float, float, list[int]]], int]:
        """Begin, end (seconds within the window) and ids of segments; frames to go on by."""
        first = self._decoder.ids.times
        times = [token >= first for token in tokens]
        borders = [at for at in range(1, len(tokens)) if times[at] and times[at - 1]]
        alone = times[-2:] == [False, True]  # nothing is said behind the last time
        if not borders:
            stamps = [token for token in tokens if token >= first]
            end = frames / FRAMES
            if stamps and stamps[-1] != first:
                end = (stamps[-1] - first) * TIME_STEP
            return [(0.0, end, tokens)], frames
        spans, at = [], 0
        for border in [*borders, len(tokens)] if alone else borders:
            part = tokens[at:border]
            spans.append(((part[0] - first) * TIME_STEP, (part[-1] - first) * TIME_STEP, part))
            at = border
        step = frames if alone else (tokens[at - 1] - first) * PER_STEP
        return spans, max(step, 1)

    def _segment(
        self, found: Decoded, start: int, begin: float, end: float, tokens: list[int]
    ) -> Segment:
        text = [token for token in tokens if token < self._decoder.ids.end]
        at, last = start / FRAMES, self.frames / FRAMES
        return Segment(
            min(at + begin, last), min(at + end, last), self._decoder.tokenizer.decode(text),
            tuple(tokens), found.avg_logprob, found.no_speech_prob, found.compression_ratio,
            found.temperature,
        )  # fmt: skip

    def _words(
        self, parts: Sequence[Sequence[int]], align: Aligner, frames: int
    ) -> list[list[TimedWord]]:
        """The words of each segment."""
        end = self._decoder.ids.end
        counts = [sum(token < end for token in part) for part in parts]
        text = [token for part in parts for token in part if token < end]
        if not text:
            return [[] for _ in parts]
        found, made, at = align(text, frames), [], 0
        for count in counts:
            mine, held = [], 0
            while at < len(found) and held < count:
                mine.append(found[at])
                held += len(found[at].tokens)
                at += 1
            made.append(mine)
        return made

    def _with_words(self, segment: Segment, words: list[TimedWord], start: int) -> Segment:
        from tallow.lazy_dataclasses import replace

        if not words:
            return segment
        at = start / FRAMES
        made = tuple(Word(w.text, at + w.start, at + w.end, w.probability) for w in words)
        begin, end = made[0].start, max(made[-1].end, made[0].start)
        # A first word that lasts long began with silence, which the segment's own time knows.
        if segment.start < made[0].end and segment.start - 0.5 > begin:
            begin = max(0.0, min(made[0].end - TIME_STEP, segment.start))
        return replace(segment, words=made, start=begin, end=end)


def restored(segment: Segment, time: Callable[[float], float]) -> Segment:
    """A segment, and its words, at other times."""
    from tallow.lazy_dataclasses import replace

    words = tuple(replace(w, start=time(w.start), end=time(w.end)) for w in segment.words)
    return replace(segment, start=time(segment.start), end=time(segment.end), words=words)
