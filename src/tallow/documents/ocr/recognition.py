"""What lines say: PP-OCR's recogniser, whose outputs are read by CTC's rule.

Each eight columns of a line give a distribution over the characters and a blank; repeats are one,
and blanks none (A. Graves et al., "Connectionist Temporal Classification", 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents import sessions
from tallow.documents.ocr import crops
from tallow.documents.ocr.models import ModelSet, characters
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.content import Pixels

    Floats = np.ndarray[Any, np.dtype[np.float32]]

IN_BATCH = 4
_NARROW = 192
"""Columns: lines that are wider take as long one by one, and single ones need few shapes."""


@dataclass(frozen=True)
class Reading:
    """The text of a line, with each character's confidence and its columns in the crop.

    `spans` are (start, end) of each character in pixels of the crop that is 48 high.
    """

    text: str
    confidences: tuple[float, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def confidence(self) -> float:
        """The mean of the characters'; 0 where there is none."""
        return sum(self.confidences) / len(self.confidences) if self.confidences else 0.0


def recognise(lines: Sequence[Pixels], models: ModelSet) -> list[Reading]:
    """What each line says; lines are (48, width, 3) RGB."""
    meaning = characters(models)
    run = sessions.model(models.ref, models.recognition, likeliest=True)
    readings = [Reading("")] * len(lines)
    for width, batch in batches([line.shape[1] for line in lines]):
        best, sure = run(_prepared([lines[i] for i in batch], width))
        step = width / best.shape[1]
        for row, i in enumerate(batch):
            used = min(best.shape[1], -int(-lines[i].shape[1] // step))
            readings[i] = decoded(best[row, :used], sure[row, :used], meaning, step)
    return readings


def batches(widths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Lines to be read together, each batch with its width: few shapes, little padding."""
    groups: dict[int, list[int]] = {}
    for i, width in enumerate(widths):
        groups.setdefault(bucket(width), []).append(i)
    found = []
    for width, members in sorted(groups.items()):
        while members:
            # Four or one, so that shapes repeat: the first runs of each are slower.
            count = IN_BATCH if width <= _NARROW and len(members) >= IN_BATCH else 1
            found.append((width, members[:count]))
            members = members[count:]
    return found


def bucket(width: int) -> int:
    """The width that a line is padded to: steps of a fifth, in multiples of 16."""
    size = 64
    while size < width:
        size += max(16, size // 5 // 16 * 16)
    return min(size, crops.LONGEST)


def _prepared(lines: Sequence[Pixels], width: int) -> Floats:
    """(batch, 3, 48, width): blue, green, red from -1 to 1, and 0 behind a line's end."""
    import numpy as np

    values = np.zeros((len(lines), 3, crops.HEIGHT, width), np.float32)
    for row, line in enumerate(lines):
        part = values[row, :, :, : line.shape[1]]
        part[...] = line[:, :, ::-1].transpose(2, 0, 1)
        part *= np.float32(1 / 127.5)
        part -= 1
    return values


def decoded(best: Any, sure: Any, meaning: Sequence[str], step: float = 1.0) -> Reading:
    """A reading of the most likely output of each step, and how likely it is."""
    import numpy as np

    first = np.flatnonzero(np.diff(best, prepend=-1))
    last = np.append(first[1:], len(best))
    kept = best[first] != 0
    first, last = first[kept], last[kept]
    if not len(first):
        return Reading("")
    text = [meaning[k] if k < len(meaning) else "" for k in best[first]]
    confidences = [float(sure[a:b].max()) for a, b in zip(first, last, strict=True)]
    spans = [(float(a * step), float(b * step)) for a, b in zip(first, last, strict=True)]
    rows = [row for row in zip(text, confidences, spans, strict=True) if len(row[0]) == 1]
    texts, kept_confidences, kept_spans = zip(*rows, strict=True) if rows else ((), (), ())
    return Reading("".join(texts), tuple(kept_confidences), tuple(kept_spans))
