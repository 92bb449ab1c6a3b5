"""SLANet, English and plus: a picture of a table to HTML tokens with a box of each cell.

Source: Li et al., PP-StructureV2, 2022, and the configurations of PaddleOCR 2.7: the longest side
is made 488, the rest of the square is zero, channels are in order of blue, green, red.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tallow.documents import sessions
from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.bands import LEAST_LINES, in_bands, line_count
from tallow.documents.structures.crops import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Crop,
    cropped,
    normalized,
    resized,
    widened,
)
from tallow.documents.structures.from_html import HtmlCell, structure_of
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]

SIDE = 488
_CELLS = ("<td></td>", "<td>", "<td")


@dataclass(frozen=True)
class Decoded:
    """The tokens that a model wrote; boxes, (cells, 4), are in pixels of its picture.

    `probabilities` has one of each token; `ended` is false of a model that ran out of steps.
    """

    tokens: list[str]
    boxes: Floats
    probabilities: Floats
    ended: bool = True


def propose(content: PageContent, region: Region) -> list[Structure]:
    """What both models propose."""
    return [*propose_plus(content, region), *propose_english(content, region)]


def propose_plus(content: PageContent, region: Region) -> list[Structure]:
    """SLANet plus, trained on Chinese and English tables, ruled or not (alias slanet-plus)."""
    return _propose(content, region, "slanet-plus")


def propose_english(content: PageContent, region: Region) -> list[Structure]:
    """English SLANet, trained on tables of scientific papers (alias slanet-en)."""
    return _propose(content, region, "slanet-en")


def _propose(content: PageContent, region: Region, alias: str) -> list[Structure]:
    region = widened(content, region)
    whole, ended = _whole(content, region, alias)
    if ended and line_count(content, region) < LEAST_LINES:
        return [] if whole is None else [whole]
    joined = in_bands(content, region, lambda band: _whole(content, band, alias)[0])
    # Of a model that wrote to its last step the rest of the table is missing.
    kept = [whole] if ended or joined is None else []
    return [each for each in (joined, *kept) if each is not None]


def _whole(content: PageContent, region: Region, alias: str) -> tuple[Structure | None, bool]:
    """What a model says of a region at once, and whether it came to an end."""
    crop = cropped(content, region)
    decoded = decode(crop.pixels, alias)
    return to_structure(decoded, crop, alias), decoded.ended


def decode(pixels: Any, alias: str) -> Decoded:
    """The tokens, boxes and probabilities that a model gives of a picture, RGB.

    Raises:
        HubError, FormatError: as `sessions.model`.
    """
    boxes, probabilities = sessions.model(alias)(prepared(pixels))
    return read_tokens(boxes[0], probabilities[0], vocabulary(alias), pixels.shape[:2])


def prepared(pixels: Any) -> Floats:
    """A picture, RGB, as the models' input, (1, 3, 488, 488)."""
    import numpy as np

    height, width = pixels.shape[:2]
    ratio = SIDE / max(height, width)
    high, wide = max(1, int(height * ratio)), max(1, int(width * ratio))
    square = np.zeros((1, 3, SIDE, SIDE), np.float32)
    small = resized(pixels, high, wide)[:, :, ::-1]
    square[:, :, :high, :wide] = normalized(small, IMAGENET_MEAN, IMAGENET_STD)
    return square


@lru_cache(maxsize=8)
def vocabulary(alias: str) -> tuple[str, ...]:
    """A model's tokens in order of their numbers, from its file's metadata.

    A cell without spans is one token, as PaddleOCR's `merge_no_span_structure` makes it; the file
    may still list its two halves.
    """
    from tallow.formats.onnx import open_onnx
    from tallow.hub import resolve

    listed = open_onnx(resolve(alias)).metadata["character"].splitlines()
    tokens = [token for token in listed if token != "<td>"]
    merged = [] if "<td></td>" in tokens else ["<td></td>"]
    return ("sos", *tokens, *merged, "eos")


def read_tokens(
    boxes: Floats, probabilities: Floats, tokens: Sequence[str], size: tuple[int, int]
) -> Decoded:
    """The best token of each step, up to the end; `size` is the picture's height and width.

    `boxes` is (steps, 4 or 8), `probabilities` (steps, tokens). Four numbers are left, top, right,
    bottom in shares of the picture; eight are corners in shares of the square that it was put in.
    """
    import numpy as np

    best = probabilities.argmax(-1)
    ends = np.flatnonzero(best == len(tokens) - 1)
    ends = ends[ends > 0]  # the first step may be the end of nothing
    count = int(ends[0]) if len(ends) else len(best)
    kept = [i for i in range(count) if 0 < best[i] < len(tokens) - 1]
    written = [tokens[best[i]] for i in kept]
    of_cells = [i for i, token in zip(kept, written, strict=True) if token in _CELLS]
    found = np.asarray(boxes[of_cells], np.float32).reshape(-1, boxes.shape[-1])
    high, wide = size
    if found.shape[1] == 8:
        xs, ys = found[:, 0::2] * max(size), found[:, 1::2] * max(size)
        found = np.stack([xs.min(1), ys.min(1), xs.max(1), ys.max(1)], 1)
    else:
        found = found * np.asarray([wide, high, wide, high], np.float32)
    return Decoded(written, found, probabilities.max(-1)[kept], len(ends) > 0)


def to_structure(decoded: Decoded, crop: Crop, source: str) -> Structure | None:
    """The structure that tokens mean; None where there is no cell."""
    import numpy as np

    rows: list[list[HtmlCell]] = []
    header_rows, in_header, spans = 0, False, {"row": 1, "col": 1}
    boxes = iter(decoded.boxes)
    for token in decoded.tokens:
        if token in ("<thead>", "</thead>"):
            in_header = token == "<thead>"
        elif token == "<tr>":
            rows.append([])
            header_rows += in_header
        elif token in _CELLS:
            spans = {"row": 1, "col": 1}
            rows = rows or [[]]
            rows[-1].append(HtmlCell(box=crop.to_page(next(boxes))))
        elif "span=" in token and rows and rows[-1]:
            spans[token.strip()[:3]] = int(token.split('"')[1])
            rows[-1][-1] = HtmlCell(spans["row"], spans["col"], rows[-1][-1].box)
    sure = float(np.exp(np.log(np.maximum(decoded.probabilities, 1e-9)).mean())) if rows else 0.0
    return structure_of(rows, source, sure, header_rows)
