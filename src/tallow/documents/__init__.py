"""Documents: pictures and PDFs to words and tables, and those to spreadsheets (ADR 25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.documents.ocr.engine import OCR

__all__ = ["OCR"]

_HOMES = {"OCR": "ocr.engine"}

__getattr__, __dir__ = names_of(globals(), _HOMES)
