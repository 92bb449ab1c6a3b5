"""`tallow vad`: where somebody speaks in files of sound."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import items, options
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tallow.tasks.voice_activity import Segment

NegThreshold = Annotated[
    float | None, Option("Below it speech ends.", min=0, max=1, absent="0.15 below --threshold")
]
MaxSpeech = Annotated[float | None, Option("Longer speech is cut.", min=0.1, absent="no limit")]

_LEVELS = " ▁▂▃▄▅▆▇█"


def vad(
    files: Annotated[list[str], Argument("FILE", "Files of sound; - is a wav on standard input.")],
    model: Annotated[str, Option("Alias, path or reference of the model.")] = "silero-vad",
    threshold: Annotated[float, Option("Least probability of speech.", min=0, max=1)] = 0.5,
    neg_threshold: NegThreshold = None,
    min_speech_ms: Annotated[float, Option("Shorter speech is left out.", min=0)] = 250,
    max_speech_s: MaxSpeech = None,
    min_silence_ms: Annotated[float, Option("Shorter silence ends no speech.", min=0)] = 100,
    pad_ms: Annotated[float, Option("Added on both sides of speech.", min=0)] = 30,
    json: options.Json = False,
    srt: Annotated[bool, Option("Print subtitles without text, of one file.")] = False,
    threads: options.Threads = None,
) -> None:
    """Find speech in sound: begin and end in seconds, and how likely it is.

    A terminal also shows a line of time. PCM wav needs no package, other files need
    'tallow[audio]'.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.output import print_json
    from tallow.tasks import VoiceActivity

    if srt and (json or len(files) > 1):
        raise UsageError("--srt: expected one FILE, and no --json")
    if files.count("-") > 1:
        raise UsageError("FILE: expected - once")
    options.set_threads(threads)
    detector = VoiceActivity(
        model,
        threshold=threshold,
        neg_threshold=neg_threshold,
        min_speech_duration_ms=min_speech_ms,
        max_speech_duration_s=max_speech_s or float("inf"),
        min_silence_duration_ms=min_silence_ms,
        speech_pad_ms=pad_ms,
    )
    failures = items.Failures("vad", len(files))
    results = _results(detector, files, failures)
    if json:
        print_json([_row(*each) for each in results])
    elif srt:
        print("".join(subtitles(segments) for _, _, segments in results), end="")
    else:
        _print_tables(results, many=len(files) > 1)
    failures.tell()


Result = tuple[str, float, "list[Segment]"]


def _results(detector: Any, files: Sequence[str], failures: items.Failures) -> list[Result]:
    """What is found in each file; a single one that fails is the command's error."""
    from tallow.errors import TallowError

    found = []
    for name in files:
        try:
            found.append(_result(detector, name))
        except TallowError as error:
            if len(files) == 1:
                raise
            failures.add(items.NamedItem(name), error)
    return found


def _result(detector: Any, name: str) -> Result:
    from tallow.audio import load_audio
    from tallow.cli.output import shortened
    from tallow.cli.writing import steps
    from tallow.errors import ArgumentError

    if name == "-" and sys.stdin is None:
        raise ArgumentError("-: expected standard input, got none")
    samples, rate = load_audio(sys.stdin.buffer if name == "-" else name)
    with steps(shortened(os.path.basename(name), 40)) as tell:
        segments = detector.segments(samples, rate, progress=tell)
    return name, samples.shape[0] / rate, segments


def _row(name: str, duration: float, segments: Sequence[Segment]) -> dict[str, Any]:
    return {
        "id": name,
        "duration": round(duration, 6),
        "segments": [
            {
                "start": round(s.start, 6),
                "end": round(s.end, 6),
                "probability": round(s.probability, 6),
            }
            for s in segments
        ],
    }


def subtitles(segments: Sequence[Segment]) -> str:
    """The segments as SubRip."""
    return "".join(
        f"{number}\n{_time(each.start)} --> {_time(each.end)}\n[speech]\n\n"
        for number, each in enumerate(segments, 1)
    )


def _time(seconds: float) -> str:
    """`00:01:02,345`."""
    minutes, millis = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{millis // 1000:02},{millis % 1000:03}"


def timeline(duration: float, segments: Sequence[Segment], width: int) -> str:
    """A character for each part of the time: how much of it is speech."""
    if duration <= 0:
        return ""
    part, made = duration / width, ""
    for index in range(width):
        begin, end = index * part, (index + 1) * part
        covered = sum(max(0.0, min(end, s.end) - max(begin, s.start)) for s in segments)
        made += _LEVELS[min(8, round(8 * covered / part))]
    return made


def _print_tables(results: Sequence[Result], *, many: bool) -> None:
    from tallow.cli.output import is_terminal, print_table, printable, table

    numbers = ("start", "end", "length", "probability")
    if not is_terminal():
        made = table(*(("file",) if many else ()), *numbers, right=numbers)
        for name, _, segments in results:
            for each in segments:
                made.add_row(*((printable(name),) if many else ()), *_cells(each))
        print_table(made)
        return
    for name, duration, segments in results:
        spoken = sum(each.end - each.start for each in segments)
        share = f"{spoken / duration:.0%}" if duration else "0%"
        print(f"{printable(name)}: {duration:.2f} s, {share} speech, {len(segments)} segments")
        _print_timeline(duration, segments)
        if segments:
            made = table(*numbers, right=numbers)
            for each in segments:
                made.add_row(*_cells(each))
            print_table(made)


def _cells(segment: Segment) -> list[str]:
    length = segment.end - segment.start
    return [f"{x:.3f}" for x in (segment.start, segment.end, length)] + [
        f"{segment.probability:.2f}"
    ]


def _print_timeline(duration: float, segments: Sequence[Segment]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    width = max(10, min(console.width, 120) - 2)
    line = timeline(duration, segments, width)
    console.print(Text.assemble(("│", "dim"), (line, "green"), ("│", "dim")), no_wrap=True)
    end = f"{duration:.1f} s"
    console.print(Text(f"0{end:>{width + 1}}", "dim"), no_wrap=True)
