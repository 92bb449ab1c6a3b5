"""Cells that were read badly or not at all, read again from their own part of the picture."""

from __future__ import annotations

from statistics import median

from tallow.documents.content import PageContent
from tallow.documents.document import Cell, Table
from tallow.documents.geometry import Box
from tallow.documents.steps import Reader

_UNSURE = 0.8  # below it a cell of one line is read again
_LEAST = 0.5  # of a reading to be taken at all
_MOST_CELLS = 400  # of a table that are read again, so that noise does not take minutes
_LONGEST = 24  # characters: longer texts are of several lines, or gain nothing by another look
_INSIDE = 0.08  # text heights that the edges of a cell's crop are moved inwards


def reread_doubtful(table: Table, content: PageContent, reader: Reader) -> None:
    """Read cells again, in place: those without words that may hold ink, and those read unsurely.

    A new reading is taken where it is surer than the first.
    """
    from tallow.documents.ocr.rereading import reread

    heights = [word.box[3] - word.box[1] for cell in table.cells for word in cell.words]
    if content.rendered is None or not heights:
        return
    height = median(heights)
    for cell in [each for each in table.cells if _doubtful(each)][:_MOST_CELLS]:
        box = _inner(cell, height)
        if box is None:
            continue
        crop = content.crop(box)
        first = (cell.text, cell.confidence if cell.text else 0.0)
        text, sure = reread(reader, crop, first, character_height=height * content.scale)
        if text != cell.text and sure > max(first[1], _LEAST):
            cell.text, cell.confidence, cell.raised = text, sure, ()


def _doubtful(cell: Cell) -> bool:
    if not cell.text:
        return True
    return cell.confidence < _UNSURE and len(cell.text) <= _LONGEST and not cell.raised


def _inner(cell: Cell, height: float) -> Box | None:
    """The part of a cell that is its own: around its words, or the whole less its edges."""
    if cell.box is None:
        return None
    left, top, right, bottom = cell.box
    if cell.words:
        top = max(top, min(word.box[1] for word in cell.words) - 0.3 * height)
        bottom = min(bottom, max(word.box[3] for word in cell.words) + 0.3 * height)
        left = max(left, min(word.box[0] for word in cell.words) - 0.6 * height)
        right = min(right, max(word.box[2] for word in cell.words) + 0.6 * height)
    inset = _INSIDE * height
    box = (left + inset, top + inset, right - inset, bottom - inset)
    return box if box[2] - box[0] > 0.3 * height and box[3] - box[1] > 0.3 * height else None
