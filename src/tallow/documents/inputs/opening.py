"""open_input: a picture or PDF as numbered pages, each decoded when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from tallow.errors import FormatError, MissingFileError
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import PageContent, Pixels
    from tallow.documents.pdf import PdfFile
    from tallow.vision.frames import PictureFile

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Any"

PDF_DPI = 200
"""What scanned pages of PDFs are rendered at: text of 9 points is 25 pixels high."""
MAX_WORKING_PIXELS = 40_000_000
"""Larger pictures are made smaller before they are read: an A4 page of 600 dpi has 35 million."""
_PDF_HEAD = 1024  # bytes in which `%PDF-` may begin (PDF reference, implementation note 13)


@dataclass(frozen=True)
class InputPage:
    """A page of a file: its text layer where it has one, else its picture.

    `shrunk` is by how much a picture was made smaller, 1 of others.
    """

    number: int
    content: PageContent | None
    pixels: Callable[[], Pixels]
    shrunk: float = 1.0


class Input(Protocol):
    """A file of pages."""

    name: str
    count: int

    def page(self, number: int) -> InputPage:
        """The page with a number from 1."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_input(
    source: Source, *, name: str | None = None, password: str | None = None, dpi: int = PDF_DPI
) -> Input:
    """A file's pages, by its first bytes, whatever its name says.

    `source` is a path, the bytes of a file, an open binary file, a Pillow image or an array (as
    `tallow.vision.load_image` takes). `dpi` is what pages of PDFs without a text layer are rendered
    at.

    Raises:
        MissingFileError: there is no such file.
        FormatError: it is neither a picture nor a PDF, is damaged, empty, or needs another
            password.
        MissingExtraError: Pillow, pillow-heif or pypdfium2 is needed and not installed.
    """
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if hasattr(source, "read"):
        name = name or str(getattr(source, "name", "file"))
        source = source.read()
        if not isinstance(source, bytes):
            raise FormatError(name, "file", "one opened for bytes", "one opened for text")
    if not isinstance(source, str | os.PathLike | bytes):
        return _ArrayInput(source, name or "picture")
    label = name or ("file" if isinstance(source, bytes) else os.fspath(source))
    start = _start(source, label)
    if not start:
        raise FormatError(label, "file", "a picture or a PDF", "no bytes")
    if b"%PDF-" in start:
        from tallow.documents.pdf import PdfFile

        return _PdfInput(PdfFile(source, password, name=label), label, dpi)
    from tallow.vision.frames import PictureFile

    try:
        return _PictureInput(PictureFile(source, label), label)
    except FormatError as error:
        if error.field != "format":
            raise
        raise FormatError(label, "format", f"PDF or {error.expected}", error.got) from None


def _start(source: str | os.PathLike[str] | bytes, label: str) -> bytes:
    if isinstance(source, bytes):
        return source[:_PDF_HEAD]
    path = Path(source)
    try:
        if path.is_dir():
            raise FormatError(label, "file", "a picture or a PDF", "a folder")
        if path.exists() and not path.is_file():
            raise FormatError(label, "file", "a picture or a PDF", "no regular file")
        with path.open("rb") as file:
            return file.read(_PDF_HEAD)
    except FileNotFoundError:
        raise MissingFileError(label, "file", "a picture or a PDF", "nothing") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        why = getattr(error, "strerror", None) or error
        raise FormatError(label, "file", "a readable file", why) from None


class _Closing:
    """A file that a `with` statement closes."""

    def close(self) -> None:
        """Nothing is open unless a class says so."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _PdfInput(_Closing):
    def __init__(self, file: PdfFile, name: str, dpi: int) -> None:
        self.name, self._file, self._dpi = name, file, dpi
        self.count = len(file)

    def page(self, number: int) -> InputPage:
        index = number - 1
        content = None if self._file.is_scan(index) else self._file.content(index)
        return InputPage(number, content, lambda: self._file.picture(index, self._dpi))

    def close(self) -> None:
        self._file.close()


class _PictureInput(_Closing):
    def __init__(self, file: PictureFile, name: str) -> None:
        self.name, self._file, self.count = name, file, file.count

    def page(self, number: int) -> InputPage:
        import numpy as np

        picture, shrunk = _bounded(self._file.frame(number - 1))
        return InputPage(number, None, lambda: np.asarray(picture), shrunk)

    def close(self) -> None:
        self._file.close()


class _ArrayInput(_Closing):
    """What is no file: a Pillow image or an array."""

    count = 1

    def __init__(self, source: Any, name: str) -> None:
        from tallow.vision.frames import flattened

        self.name, self._picture = name, flattened(source, name)

    def page(self, number: int) -> InputPage:
        import numpy as np

        picture, shrunk = _bounded(self._picture)
        return InputPage(number, None, lambda: np.asarray(picture), shrunk)


def _bounded(picture: Any) -> tuple[Any, float]:
    """A picture of at most `MAX_WORKING_PIXELS`, and by how much it was made smaller."""
    width, height = picture.size
    if width * height <= MAX_WORKING_PIXELS:
        return picture, 1.0
    factor = (MAX_WORKING_PIXELS / (width * height)) ** 0.5
    size = max(1, int(width * factor)), max(1, int(height * factor))
    return picture.resize(size, reducing_gap=2.0), size[0] / width
