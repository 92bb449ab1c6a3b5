"""Speech to text by CTC models (wav2vec 2.0, HuBERT, WavLM): the part of `Transcriber` for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tallow.audio.waves import WaveFeatures
from tallow.autograd.mode import inference_mode
from tallow.errors import ArgumentError, ModelError, expect
from tallow.generate.ctc import CtcBeams, align, best_path, search
from tallow.lazy_dataclasses import dataclass
from tallow.models.base import Model
from tallow.tensor import Tensor
from tallow.text.ctc_symbols import CtcSymbols

CHUNK_S = 30.0  # of a long sound; a sixth of it at each side is heard and left out
BATCH = 8  # pieces that are heard together


class TimedWord(NamedTuple):
    """A word, and the seconds `start` to `end` that it was heard in."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class CtcText:
    """What a sound says: its text, words with their times, and other texts of a beam search.

    `score` is the logarithm of the text's probability over the alignments that a beam search kept;
    None where the likeliest symbol of each frame was taken.
    """

    text: str
    words: tuple[TimedWord, ...]
    score: float | None = None
    others: tuple[tuple[str, float], ...] = ()


class CtcReader:
    """A CTC model with its symbols and how samples are prepared for it."""

    def __init__(
        self, model: Model, folder: str | Path | None = None, language: str | None = None
    ) -> None:
        """Read vocab.json and preprocessor_config.json of `folder`, by default the model's own.

        Raises:
            ModelError: the model scores no symbols, or there is no folder with these files.
            FormatError: a file is damaged.
        """
        place = model.folder if folder is None else Path(folder)
        if not hasattr(model.config, "frames") or not hasattr(model, "lm_head"):
            raise ModelError(f"CtcReader: expected a CTC model, got {type(model).__name__}")
        if place is None:
            raise ModelError("CtcReader: expected a model from a folder with vocab.json, got none")
        self.model: Any = model
        self.features = WaveFeatures.from_folder(place)
        self.symbols = CtcSymbols.from_folder(place, language)
        self.blank = self.symbols.blank_id

    @property
    def rate(self) -> int:
        """Samples a second that the model takes."""
        return self.features.sampling_rate

    @property
    def seconds(self) -> float:
        """From one frame to the next."""
        return self._samples_a_frame() / self.rate

    def _samples_a_frame(self) -> int:
        cfg, made = self.model.config, 1
        for stride in cfg.conv_stride:
            made *= stride
        return int(made * (cfg.adapter_stride**cfg.num_adapter_layers if cfg.add_adapter else 1))

    def read(
        self,
        sounds: Sequence[Tensor],
        *,
        beams: CtcBeams | None = None,
        n_best: int = 1,
        chunk_s: float | None = None,
    ) -> list[CtcText]:
        """The texts of sounds, samples `(length,)` at `rate` each.

        Without `beams` the likeliest symbol of each frame is taken; with them the likeliest text,
        and `n_best - 1` others. Sounds longer than `chunk_s` seconds (None: 60, then 30) are heard
        in pieces, which overlap, as transformers' pipeline does it. A sound that is too short for
        a frame says nothing.
        """
        good = n_best >= 1 and (n_best == 1 or beams is not None)
        expect(good, "n_best", "1, or more with beams", n_best, ArgumentError)
        with inference_mode():
            found = self.scores(sounds, chunk_s)
            return [self.text_of(each, beams, n_best) for each in found]

    def scores(self, sounds: Sequence[Tensor], chunk_s: float | None = None) -> list[Tensor]:
        """Logarithms of the probabilities of symbols, `(frames, symbols)`, of each sound."""
        pieces, owners, cuts = [], [], []
        for index, sound in enumerate(sounds):
            for piece, cut in self._pieces(sound, chunk_s):
                if piece.shape[0] >= self.model.config.shortest:
                    pieces.append(piece)
                    owners.append(index)
                    cuts.append(cut)
        logits = self._logits(pieces)
        found: list[list[Tensor]] = [[] for _ in sounds]
        for rows, owner, cut in zip(logits, owners, cuts, strict=True):
            found[owner].append(rows[cut].log_softmax(-1))
        return [self._joined(each) for each in found]

    def _joined(self, rows: list[Tensor]) -> Tensor:
        from tallow.factories import zeros
        from tallow.ops import cat

        if not rows:
            return zeros(0, self.model.config.vocab_size)
        return cat(rows) if len(rows) > 1 else rows[0]

    def _logits(self, pieces: Sequence[Tensor]) -> list[Tensor]:
        """Of each piece its own frames; those of models that see padding come one at a time."""
        size, found = 1 if self.model.rows_alone else BATCH, []
        for begin in range(0, len(pieces), size):
            group = pieces[begin : begin + size]
            values, mask = self.features.batch(group)
            made = self.model(values, mask if len(group) > 1 else None).logits
            for row, piece in zip(made, group, strict=True):
                found.append(row[: self.model.config.frames(piece.shape[0])])
        return found

    def _pieces(self, sound: Tensor, chunk_s: float | None) -> Iterator[tuple[Tensor, slice]]:
        """Pieces of a sound, and which of a piece's frames count."""
        expect(chunk_s is None or chunk_s > 0, "chunk_s", "above 0", chunk_s, ArgumentError)
        samples, frame = sound.shape[0], self._samples_a_frame()
        longest = (2 * CHUNK_S if chunk_s is None else chunk_s) * self.rate
        if samples <= longest:
            yield sound, slice(None)
            return
        size = max(round((chunk_s or CHUNK_S) * self.rate / frame), 6) * frame
        side = round(size / 6 / frame) * frame
        for begin in range(0, samples, size - 2 * side):
            piece = sound[begin : begin + size]
            length, last = piece.shape[0], begin + size >= samples
            count = round(length / frame)
            left = round((side if begin else 0) / length * count)
            right = round((0 if last else side) / length * count)
            if length > (side if begin else 0):
                yield piece, slice(left, count - right)
            if last:
                return

    def text_of(self, scores: Tensor, beams: CtcBeams | None = None, n_best: int = 1) -> CtcText:
        """The text of what `scores` gives for one sound; the others as of `read`."""
        if beams is None:
            return self._spelled(best_path(scores))
        found = search(scores, self.blank, beams)[:n_best]
        best = self._spelled(align(scores, found[0].ids, self.blank), found[0].score)
        others = ((self._plain(each.ids), each.score) for each in found[1:])
        return CtcText(best.text, best.words, best.score, tuple(others))

    def _plain(self, ids: Sequence[int]) -> str:
        path = [index for each in ids for index in (each, self.blank)]
        return self.symbols.spell(path).text

    def _spelled(self, path: Sequence[int], score: float | None = None) -> CtcText:
        spelled, step = self.symbols.spell(path), self.seconds
        words = (TimedWord(w.text, w.start * step, w.end * step) for w in spelled.words)
        return CtcText(spelled.text, tuple(words), score)


def transcribe(
    model: Model,
    sounds: Sequence[Tensor],
    *,
    language: str | None = None,
    beams: CtcBeams | None = None,
    n_best: int = 1,
) -> list[CtcText]:
    """The texts of sounds at the model's rate; see `CtcReader`, which keeps what it has read."""
    return CtcReader(model, language=language).read(sounds, beams=beams, n_best=n_best)
