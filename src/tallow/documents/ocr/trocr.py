"""TrOCR and its like as a reader of pages: lines found by PP-OCR's detector, read one by one.

Source: M. Li et al., "TrOCR: Transformer-based Optical Character Recognition with Pre-trained
Models", 2021. It says nothing of where characters are: words are parted where the ink is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.ocr.engine import OCR
from tallow.documents.ocr.recognition import Reading
from tallow.documents.ocr.words import ink

if TYPE_CHECKING:
    from tallow.documents.content import Pixels
    from tallow.tasks import LineReader

_BATCH = 4
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]-"), frozenset("mwMW@%")


class TrOCR(OCR):
    """A reader whose lines are read by a vision-encoder-decoder of Hugging Face.

    `ref` is a folder, an `hf:` reference, or a loaded `LineReader`. `detection` names the set of
    PP-OCR models that finds the lines. What languages it reads is not told by its files, so that
    `language` is only checked to be one.
    """

    def __init__(
        self,
        ref: Any,
        *,
        language: str | None = None,
        detection: str = "small",
        least_confidence: float = 0.0,
        max_new_tokens: int = 128,
    ) -> None:
        """Load the model.

        Raises:
            HubError, FormatError, ModelError: it cannot be loaded.
            ArgumentError: the language is not known.
        """
        from tallow.documents.ocr.languages import known_language
        from tallow.tasks import LineReader

        super().__init__(detection, least_confidence=least_confidence)
        self.language = language and known_language(language)
        loaded = isinstance(ref, LineReader)
        self.reader: LineReader = ref if loaded else LineReader(ref, max_new_tokens=max_new_tokens)

    def recognise(self, lines: Sequence[Pixels]) -> list[Reading]:
        """What each line says; lines are (height, width, 3) RGB."""
        found = []
        for start in range(0, len(lines), _BATCH):
            batch = lines[start : start + _BATCH]
            read = texts_and_confidences(self.reader, batch)
            for line, (text, sure) in zip(batch, read, strict=True):
                found.append(spread(text, sure, line))
        return found

    def read_lines(self, crops_of_lines: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of pictures that hold one line each, (height, width, 3) RGB."""
        return [(each.text, each.confidence) for each in self.recognise(crops_of_lines)]


def texts_and_confidences(reader: LineReader, lines: Sequence[Pixels]) -> list[tuple[str, float]]:
    """The texts of lines, and the geometric mean of their tokens' probabilities."""
    import numpy as np

    from tallow.autograd.mode import no_grad
    from tallow.borrowing import to_numpy
    from tallow.vision import load_image

    pixels = reader.processor([load_image(line) for line in lines]).pixel_values
    options: dict[str, Any] = {"max_new_tokens": reader.max_new_tokens}
    if reader.num_beams is not None:
        options["num_beams"] = reader.num_beams
    model: Any = reader.model
    rows = model.generate(pixels, **options)
    with no_grad():
        logits = to_numpy(model(pixel_values=pixels, decoder_input_ids=rows[:, :-1]).logits)
    ids = np.asarray(rows.tolist())[:, 1:]
    logits = logits.astype(np.float64)
    top = logits.max(-1)
    chosen = np.take_along_axis(logits, ids[..., None], -1)[..., 0]
    likely = chosen - top - np.log(np.exp(logits - top[..., None]).sum(-1))
    found = []
    for text_ids, logs in zip(ids, likely, strict=True):
        text = reader.tokenizer.decode(text_ids.tolist()).strip()
        used = max(1, int(np.flatnonzero(text_ids != text_ids[-1]).max(initial=-1)) + 2)
        found.append((text, float(np.exp(logs[:used].mean()))))
    return found


def spread(text: str, confidence: float, line: Pixels) -> Reading:
    """A reading whose characters lie over the line's ink as wide as they usually are."""
    import numpy as np

    columns = np.flatnonzero(ink(line).any(0))
    start, end = (columns[0], columns[-1] + 1) if len(columns) else (0, line.shape[1])
    widths = [0.55 if each in _NARROW else 1.5 if each in _WIDE else 1.0 for each in text]
    edges = start + np.cumsum([0.0, *widths]) * ((end - start) / (sum(widths) or 1))
    spans = tuple(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return Reading(text, (confidence,) * len(text), spans)
