"""Words of pictures that are two: divided where no ink stands between their characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.documents.cells.splitting import character_widths
from tallow.documents.content import PageContent, Word
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy as np

    from tallow.documents.content import Pixels

    Gray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

# Of the height of a word's box: a gap that is rare inside a word. Spaces are a quarter of the size
# of a font, of which a box is about 0.8 to 1.
_GAP = 0.55
_INK = 0.35  # of the range between ground and text: what counts as ink


def parted(content: PageContent, words: Sequence[Word]) -> list[Word]:
    """The words, those with a wide gap in their ink as several; of a text layer as they are.

    Readers join what stands side by side in narrow columns, mostly in scripts without spaces.
    Pieces that come to one cell are put together again, so that a gap beside a 1 does no harm.
    """
    if content.source != "picture" or content.rendered is None:
        return list(words)
    pixels = content.pixels()
    # Regions that overlap ask for the same words: their pieces are kept with the page.
    kept: dict[int, tuple[Word, list[Word]]] = content.kept.setdefault("parted", {})
    pieces: list[Word] = []
    for word in words:
        wide = word.box[2] - word.box[0] > 1.5 * (word.box[3] - word.box[1])
        if not wide or word.turn:
            pieces.append(word)
            continue
        if id(word) not in kept:
            kept[id(word)] = word, _parts(pixels, content.scale, word)
        pieces += kept[id(word)][1]
    return pieces


def _parts(pixels: Pixels, scale: float, word: Word) -> list[Word]:
    import numpy as np

    left, top, right, bottom = (round(value * scale) for value in word.box)
    crop = pixels[max(0, top) : bottom, max(0, left) : right].mean(-1, dtype=np.float32)
    if min(crop.shape) < 3 or len(word.text.strip()) < 2:
        return [word]
    gaps = _gaps(crop, _GAP * (bottom - top))
    text = word.text.strip()
    places = _places(text, gaps, crop.shape[1])
    cuts = [place for place in places if 0 < place < len(text)]
    if not gaps or len(cuts) != len(gaps) or sorted(set(cuts)) != cuts:
        return [word]
    starts = [0, *(end for _, end in gaps)]
    ends = [*(begin for begin, _ in gaps), crop.shape[1]]
    origin = max(0, left)
    pieces: list[Word] = []
    for first, last, start, end in zip([0, *cuts], [*cuts, len(text)], starts, ends, strict=True):
        box = ((origin + start) / scale, word.box[1], (origin + end) / scale, word.box[3])
        piece = text[first:last].strip()
        if piece:
            glued = word.glued or bool(pieces)
            line = -1 if pieces else word.line  # pieces need not belong together
            pieces.append(replace(word, text=piece, box=box, quad=None, line=line, glued=glued))
    return pieces


def _gaps(crop: Gray, least: float) -> list[tuple[int, int]]:
    """Where at least `least` columns in a row hold no ink, but for both ends: (begin, end)."""
    import numpy as np

    ground = float(np.median(crop))
    away = np.abs(crop - ground)
    strength = float(np.percentile(away, 98))
    if strength < 24:  # levels: nothing stands out
        return []
    inked = np.flatnonzero((away > _INK * strength).any(0))
    if len(inked) < 2:
        return []
    jumps = np.flatnonzero(np.diff(inked) - 1 >= least)
    return [(int(inked[i]) + 1, int(inked[i + 1])) for i in jumps]


def _places(text: str, gaps: Sequence[tuple[int, int]], width: int) -> list[int]:
    """Before which character each gap is: at a space that is near, else by usual widths."""
    widths = character_widths(text.replace(" ", ""))
    empty = sum(end - begin for begin, end in gaps)
    scale = (width - empty) / (sum(widths) or 1.0)
    solid = [index for index, char in enumerate(text) if char != " "]
    places, passed = [], 0
    for begin, end in gaps:
        at, total, best = begin - passed, 0.0, 0
        distance = float("inf")
        for index, each in enumerate(widths):
            before = index > 0 and solid[index] - solid[index - 1] > 1
            away = abs(total - at) - (1.2 * scale if before else 0.0)
            if away < distance:
                best, distance = index, away
            total += each * scale
        places.append(solid[best] if solid else 0)
        passed += end - begin
    return places
