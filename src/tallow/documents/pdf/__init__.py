"""PDFs: pages as words, rulings, fills and pictures, from their objects and not from pixels."""

from tallow.documents.pdf.file import PdfFile

__all__ = ["PdfFile"]
