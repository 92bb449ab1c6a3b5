"""Documents: pictures and PDFs to words and tables, and those to spreadsheets (ADR 25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.documents.content import PageContent, Word
    from tallow.documents.document import Cell, Document, Page, Table
    from tallow.documents.ocr.engine import OCR
    from tallow.documents.reader import TableReader
    from tallow.documents.steps import Progress, Region
    from tallow.documents.structure import Slot, Structure

__all__ = [
    "OCR",
    "Cell",
    "Document",
    "Page",
    "PageContent",
    "Progress",
    "Region",
    "Slot",
    "Structure",
    "Table",
    "TableReader",
    "Word",
]

_HOMES = {
    "OCR": "ocr.engine",
    "Cell": "document",
    "Document": "document",
    "Page": "document",
    "PageContent": "content",
    "Progress": "steps",
    "Region": "steps",
    "Slot": "structure",
    "Structure": "structure",
    "Table": "document",
    "TableReader": "reader",
    "Word": "content",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
