"""Speech to text without Whisper's rules: CTC models and Moonshine, as parts of `Transcriber`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.ops import cat
from tallow.tasks.ctc import CtcReader
from tallow.tasks.speech_decoding import compression_ratio
from tallow.tasks.transcript import Segment, Transcription, Word, joined
from tallow.tensor import Tensor

RATE = 16000
PIECE_S = 30.0  # the longest that Moonshine hears at once
SEARCH_S = 5.0  # of its end, in which the quietest moment is looked for
PAUSE_S = 0.6  # between words, that begins another segment
LONGEST_S = 12.0  # of a segment of words
PER_SECOND = 6.5  # tokens that Moonshine may write, as its authors say

Tell = Callable[[float, float], None]


class PlainSpeech(Protocol):
    """A reader of sounds of 16000 Hz."""

    def transcribe(self, samples: Tensor, words: bool) -> Transcription:
        """What is said in one sound; `words` asks for times of words."""


def plain_speech(model: Any) -> PlainSpeech | None:
    """The reader of a model; None of one that is neither a CTC model nor Moonshine.

    Raises:
        ModelError, FormatError: the files beside a CTC model are not there, or damaged.
    """
    if hasattr(model, "lm_head") and hasattr(model.config, "frames"):
        return CtcSpeech(model)
    if getattr(model, "main_input", "") == "input_values" and hasattr(model, "generate"):
        return GeneratedSpeech(model)
    return None


class CtcSpeech:
    """Words by their frames; a pause between words, or many of them, begins a segment."""

    def __init__(self, model: Any) -> None:
        self._reader = CtcReader(model)

    def transcribe(self, samples: Tensor, words: bool) -> Transcription:
        """What is said in one sound."""
        (scores,) = self._reader.scores([samples])
        found = self._reader.text_of(scores)
        sure = scores.amax(-1).tolist() if scores.shape[0] else []
        step, made = self._reader.seconds, []
        duration = samples.shape[0] / RATE
        for group in _groups([(w.text, w.start, w.end) for w in found.words]):
            told = [
                Word(f" {text}", start, min(end, duration), _mean(sure, start, end, step))
                for text, start, end in group
            ]
            text = "".join(word.text for word in told)
            chance = _mean(sure, told[0].start, told[-1].end, step)
            made.append(
                Segment(
                    told[0].start, told[-1].end, text, (), math.log(max(chance, 1e-30)), 0.0,
                    compression_ratio(text), 0.0, tuple(told) if words else (),
                )
            )  # fmt: skip
        return Transcription(joined(made), tuple(made), _language(self._reader.model), duration)


class GeneratedSpeech:
    """Texts of pieces of at most 30 s, which are cut where it is quiet."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def transcribe(self, samples: Tensor, words: bool) -> Transcription:
        """What is said in one sound.

        Raises:
            ArgumentError: times of words are asked for, which such a model does not tell.
        """
        wanted = "false for a model that does not tell when words are said"
        expect(not words, "transcribe: word_timestamps", wanted, words, ArgumentError)
        made = []
        for begin, end in quiet_pieces(samples):
            piece = samples[begin:end]
            most = max(1, int((end - begin) / RATE * PER_SECOND))
            ids = self._write(piece, most)
            text = self._model.tokenizer.decode(ids).strip()
            if text:
                ratio = compression_ratio(text)
                span = begin / RATE, end / RATE
                made.append(Segment(*span, f" {text}", tuple(ids), 0.0, 0.0, ratio, 0.0))
        duration = samples.shape[0] / RATE
        return Transcription(joined(made), tuple(made), _language(self._model), duration)

    def _write(self, piece: Tensor, most: int) -> list[int]:
        from tallow.models.families.moonshine import SHORTEST

        short = max(0, SHORTEST - piece.shape[0])
        given = cat([piece, zeros(short)]) if short else piece
        most = min(most, self._model.context - 1)
        rows = self._model.generate(given.unsqueeze(0), max_new_tokens=most)
        listed = rows.tolist() if hasattr(rows, "tolist") else rows
        return [int(index) for index in listed[0]]


def quiet_pieces(samples: Tensor) -> list[tuple[int, int]]:
    """Begin and end of pieces of at most 30 s, each cut at the quietest moment near its end."""
    most, search, hop = int(PIECE_S * RATE), int(SEARCH_S * RATE), RATE // 20
    found, begin, length = [], 0, samples.shape[0]
    while length - begin > most:
        near = samples[begin + most - search : begin + most]
        loud = near.square().unfold(0, 2 * hop, hop).mean(-1)
        cut = begin + most - search + (int(loud.argmin().item()) + 1) * hop
        found.append((begin, cut))
        begin = cut
    return [*found, (begin, length)]


def _groups(words: Sequence[tuple[str, float, float]]) -> list[list[tuple[str, float, float]]]:
    made: list[list[tuple[str, float, float]]] = []
    for word in words:
        if made and word[1] - made[-1][-1][2] < PAUSE_S and word[2] - made[-1][0][1] < LONGEST_S:
            made[-1].append(word)
        else:
            made.append([word])
    return made


def _mean(sure: Sequence[float], start: float, end: float, step: float) -> float:
    """The mean probability of the likeliest symbols of the frames between two moments."""
    first, last = round(start / step), max(round(end / step), round(start / step) + 1)
    part = sure[first:last]
    return math.exp(sum(part) / len(part)) if part else 0.0


def _language(model: Any) -> str:
    """The one that a config names; "" where none does."""
    found = model.config_values.get("language") or ""
    return found if isinstance(found, str) else ""
