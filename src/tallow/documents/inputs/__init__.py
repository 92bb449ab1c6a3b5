"""Files, folders, globs and pipes to pages: pictures, TIFF, HEIC and PDF."""

from tallow.documents.inputs.opening import Input, InputPage, open_input
from tallow.documents.inputs.page_ranges import selected

__all__ = ["Input", "InputPage", "open_input", "selected"]
