"""`tallow speak`: speech from text, as a wav file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from tallow.cli import options
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.tasks import SpeechSynthesizer
    from tallow.tensor import Tensor

Output = Annotated[str, Option("The wav file.", short="-o", metavar="FILE")]
Text = Annotated[str | None, Argument("TEXT", "What to say; - or nothing: standard input.")]
NoiseScale = Annotated[
    float | None, Option("How much the sound varies.", min=0, absent="the voice's")
]
LengthScale = Annotated[
    float | None, Option("Above 1: slower.", min=0.05, absent="the voice's")
]  # fmt: skip
NoiseW = Annotated[
    float | None, Option("How much durations vary.", min=0, absent="the voice's")
]  # fmt: skip
Speaker = Annotated[
    str | None, Option("Name or number, of voices of several.", absent="the first")
]  # fmt: skip


def speak(
    output: Output,
    text: Text = None,
    model: Annotated[str, Option("Alias, path or reference of the voice.")] = "piper-joe",
    phonemes: Annotated[bool, Option("TEXT is phonemes, a sentence a line.")] = False,
    noise_scale: NoiseScale = None,
    length_scale: LengthScale = None,
    noise_w: NoiseW = None,
    sentence_silence: Annotated[float, Option("Seconds after a sentence.", min=0)] = 0.2,
    speaker: Speaker = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Speak a text by a voice of Piper's, into a wav file of 16 bits.

    Texts need the program espeak-ng; --phonemes does not.
    """
    import tallow
    from tallow.cli.writing import check_writable, note, refuse_existing, written
    from tallow.tasks.speech_synthesizer import Speech, SpeechSynthesizer

    options.set_threads(threads)
    refuse_existing(output, force)
    check_writable(output)
    said = options.read_text("-", "TEXT") if text is None or text == "-" else text
    if seed is not None:
        tallow.manual_seed(seed)
    voice = SpeechSynthesizer(
        model, noise_scale=noise_scale, length_scale=length_scale, noise_w=noise_w,
        sentence_silence=sentence_silence, speaker=speaker,
    )  # fmt: skip
    samples = _samples(voice, said, phonemes)
    with written(output):
        Speech(samples, voice.rate).save(output)
    if sys.stderr.isatty():
        note(f"{output}: {samples.shape[0] / voice.rate:.2f} s of speech")


def _samples(voice: SpeechSynthesizer, said: str, phonemes: bool) -> Tensor:
    """The speech of all sentences, with a bar."""
    from tallow.cli.writing import steps
    from tallow.errors import ArgumentError, expect
    from tallow.ops import cat
    from tallow.tasks.phonemes import sentences

    lines = [line for line in said.splitlines() if line.strip()]
    stream = voice.stream(phonemes=lines) if phonemes else voice.stream(said)
    expected = len(lines) if phonemes else sum(1 for _ in sentences(said))
    parts = []
    with steps("speak") as tell:
        tell(0, expected)
        for count, part in enumerate(stream, 1):
            parts.append(part.samples)
            tell(count, expected)
    expect(bool(parts), "speak", "a text with words", repr(said[:60]), ArgumentError)
    return cat(parts)
