"""What a transcription is, and how it is written: plain, as subtitles, tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow.lazy_dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word with the space before it, when it is said in seconds, and how likely it is."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """A stretch of speech in seconds, its text and ids, and what the model made of it.

    `avg_logprob` is the mean log-probability of the ids of its window, `no_speech_prob` how likely
    nobody speaks there, `compression_ratio` the length of the text by that of its deflated form,
    `temperature` the one that it was drawn with.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcription:
    """The text of a sound and its segments; `language` is a code, `duration` in seconds.

    `language_probability` is 1 where the language was given or the model knows only one.
    """

    text: str
    segments: tuple[Segment, ...]
    language: str
    duration: float
    language_probability: float = 1.0

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments, where they were asked for."""
        return tuple(word for segment in self.segments for word in segment.words)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it; names are those of OpenAI's tool."""
        return {
            "text": self.text,
            "language": self.language,
            "language_probability": round(self.language_probability, 4),
            "duration": round(self.duration, 3),
            "segments": [_row(number, segment) for number, segment in enumerate(self.segments)],
        }

    def to_text(self, format: str = "txt") -> str:
        """The transcription as `txt`, `srt`, `vtt`, `tsv` (milliseconds) or `json`.

        Raises:
            ArgumentError: another format.
        """
        from tallow.errors import ArgumentError, expect

        known = ", ".join(FORMATS)
        expect(format in FORMATS, "format", f"one of {known}", repr(format), ArgumentError)
        return FORMATS[format](self)


def _row(number: int, segment: Segment) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": number,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": round(segment.avg_logprob, 6),
        "compression_ratio": round(segment.compression_ratio, 6),
        "no_speech_prob": round(segment.no_speech_prob, 6),
    }
    if segment.words:
        row["words"] = [
            {
                "word": word.text,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "probability": round(word.probability, 6),
            }
            for word in segment.words
        ]
    return row


def _time(seconds: float, mark: str) -> str:
    """`00:01:02,345`."""
    minutes, millis = divmod(round(max(seconds, 0) * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{millis // 1000:02}{mark}{millis % 1000:03}"


def _clean(text: str) -> str:
    """One line, without the arrow that subtitles have between times."""
    return " ".join(text.split()).replace("-->", "->")


def _txt(made: Transcription) -> str:
    return "".join(f"{_clean(segment.text)}\n" for segment in made.segments)


def _srt(made: Transcription) -> str:
    return "\n".join(
        f"{number}\n{_time(each.start, ',')} --> {_time(each.end, ',')}\n{_clean(each.text)}\n"
        for number, each in enumerate(made.segments, 1)
    )


def _vtt(made: Transcription) -> str:
    cues = (
        f"\n{_time(each.start, '.')} --> {_time(each.end, '.')}\n{_escaped(_clean(each.text))}\n"
        for each in made.segments
    )
    return "WEBVTT\n" + "".join(cues)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _tsv(made: Transcription) -> str:
    rows = (
        f"{round(each.start * 1000)}\t{round(each.end * 1000)}\t{_clean(each.text)}\n"
        for each in made.segments
    )
    return "start\tend\ttext\n" + "".join(rows)


def _json(made: Transcription) -> str:
    return json.dumps(made.to_dict(), ensure_ascii=False, indent=2) + "\n"


FORMATS: Final[Mapping[str, Callable[[Transcription], str]]] = {
    "txt": _txt,
    "srt": _srt,
    "vtt": _vtt,
    "json": _json,
    "tsv": _tsv,
}


def joined(segments: Sequence[Segment]) -> str:
    """The text of segments, whose words bring their spaces."""
    return "".join(segment.text for segment in segments).strip()
