"""`tallow transcribe`: what is said in files of sound, as text, subtitles or JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from tallow.cli import options
from tallow.cli.parameters import Argument, Option


class Format(StrEnum):
    """What is written."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"
    TSV = "tsv"


class Task(StrEnum):
    """In which language it is written."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


Files = Annotated[
    list[str], Argument("FILE", "Files of sound, or folders of them; - is one on standard input.")
]
Output = Annotated[
    str | None,
    Option(
        "A file of .txt, .srt, .vtt, .json or .tsv; with / at its end a folder, with a file for "
        "each input.",
        short="-o",
        metavar="OUT",
        absent="print the text",
    ),
]
Language = Annotated[
    str | None, Option("Code or English name of the language.", absent="detected")
]  # fmt: skip
Prompt = Annotated[str | None, Option("Text before the first window, with names as spelled.")]
Temperature = Annotated[
    float | None,
    Option("The one temperature.", min=0, max=2, absent="0, and up to 1 where text is unlikely"),
]

BeamSize = Annotated[
    int | None,
    Option(
        "Hypotheses followed at once, at temperature 0.", min=1, max=64, absent="the likeliest id"
    ),
]
BestOf = Annotated[
    int | None,
    Option("Transcripts drawn of a window at temperatures above 0.", min=1, max=64, absent="1"),
]
Patience = Annotated[
    float | None,
    Option("Times --beam-size of hypotheses that end before a window is done.", absent="1"),
]
LengthPenalty = Annotated[
    float | None,
    Option("Power of lengths that hypotheses are compared by.", min=0, max=1, absent="their mean"),
]


def transcribe(
    files: Files,
    model: Annotated[
        str, Option("Alias, path or reference: Whisper, Moonshine or a CTC model.", short="-m")
    ] = "whisper-tiny.en",
    output: Output = None,
    format: Annotated[
        Format | None, Option("What is written.", short="-f", absent="as OUT ends, or txt")
    ] = None,
    language: Language = None,
    task: Annotated[Task, Option("translate: to English.")] = Task.TRANSCRIBE,
    words: Annotated[bool, Option("Times of words, in json.")] = False,
    vad: Annotated[bool, Option("Hear only what is speech (silero-vad).")] = False,
    batch_size: Annotated[int, Option("Windows read together, with --vad.", min=1)] = 1,
    prompt: Prompt = None,
    temperature: Temperature = None,
    beam_size: BeamSize = None,
    best_of: BestOf = None,
    patience: Patience = None,
    length_penalty: LengthPenalty = None,
    no_context: Annotated[bool, Option("No text of a window helps the next one.")] = False,
    resume: Annotated[bool, Option("Leave out files whose output is there.")] = False,
    force: options.Force = False,
    dtype: options.DTypeOption = None,
    threads: options.Threads = None,
) -> None:
    """Write down speech: text, subtitles (srt, vtt), tables (tsv) or JSON.

    Models are folders of Hugging Face's or CTranslate2's, or files of whisper.cpp's. PCM wav needs
    no package, other files and rates need 'tallow[audio]'.
    """
    from tallow.cli.transcribe_job import TranscribeJob

    options.set_threads(threads)
    given: dict[str, Any] = {
        "language": language, "task": task.value, "word_timestamps": words, "vad": vad,
        "batch_size": batch_size, "initial_prompt": prompt,
        "condition_on_previous_text": not no_context, "beam_size": beam_size, "best_of": best_of,
        "patience": patience, "length_penalty": length_penalty,
    }  # fmt: skip
    if temperature is not None:
        given["temperature"] = temperature
    chosen = None if format is None else format.value
    job = TranscribeJob(output, chosen, resume=resume, force=force)
    job.run(files, model, given, dtype)
