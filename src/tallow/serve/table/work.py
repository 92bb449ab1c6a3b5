"""What the process of a job does: reads files into tables and pictures, or writes a download."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.errors import FormatError, TallowError
from tallow.lazy_dataclasses import dataclass, field
from tallow.serve.table.limits import Limits
from tallow.serve.table.options import Factory, Options
from tallow.serve.table.refusals import FULL

if TYPE_CHECKING:
    from tallow.documents.document import Document, Page
    from tallow.documents.inputs import Input as OpenedInput

Tell: TypeAlias = Callable[[dict[str, Any]], None]

FORMATS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
}
"""What can be downloaded, and its media type."""


@dataclass(frozen=True)
class Input:
    """A file to read."""

    number: int
    path: Path
    name: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reading:
    """Read files: each gives `result-N.json` and the pictures of its pages in `folder`."""

    factory: Factory
    options: Options
    limits: Limits
    folder: Path
    inputs: list[Input]

    def do(self, tell: Tell) -> None:
        """Read each file; what fails in one does not stop the others."""
        _limit_pixels(self.limits.pixels)
        reader: Any = None
        for each in self.inputs:
            tell({"kind": "progress", "file": each.number, "step": "open"})
            try:
                if reader is None:
                    reader = self.factory(self.options)
                self._read(reader, each, tell)
            except Exception as error:  # whatever one file does, the others go on
                encrypted = isinstance(error, FormatError) and error.field == "encryption"
                said = sentence(error)
                message = {"kind": "error", "file": each.number, "error": said}
                tell(message | {"password": encrypted})

    def _read(self, reader: Any, each: Input, tell: Tell) -> None:
        pages = self._pages(each)

        def progress(seen: Any) -> None:
            told = {"page": seen.page, "done": seen.done, "pages": seen.count, "step": seen.step}
            tell({"kind": "progress", "file": each.number, **told})

        document = reader.read(
            each.path, name=each.name, pages=pages, password=each.password, progress=progress
        )
        tell({"kind": "progress", "file": each.number, "step": "pictures"})
        made = self._result(each, document)
        path = self.folder / f"result-{each.number}.json"
        try:
            path.write_text(json.dumps(made), encoding="utf-8")
        except OSError:  # the disk is full
            path.unlink(missing_ok=True)
            raise
        tell({"kind": "result", "file": each.number})

    def _pages(self, each: Input) -> str | None:
        """Which pages are to be read; one picture has no pages to choose from."""
        from tallow.documents.inputs import selected

        with _opened(each) as opened:
            pages = self.options.pages if opened.count > 1 else ""
            count = len(selected(pages or None, opened.count, each.name))
        if count > self.limits.pages:
            raise TallowError(
                f"{each.name}: expected at most {self.limits.pages} pages, got {count}; choose "
                "which pages to read"
            )
        return pages or None

    def _result(self, each: Input, document: Document) -> dict[str, Any]:
        from tallow.serve.table.tables import table_dict

        pages = []
        with _opened(each) as opened:
            for page in document.pages:
                path = picture_path(self.folder, each.number, page.number)
                error = page.error
                try:
                    if not error:
                        _save_picture(opened, page, path)
                except (TallowError, OSError, MemoryError) as problem:
                    error = f"its picture cannot be shown: {sentence(problem)}"
                pages.append(_page_dict(page, error, picture=path.exists()))
        tables = [table_dict(table, document.pages) for table in document.tables]
        return {"pages": pages, "tables": tables}


@dataclass(frozen=True)
class Writing:
    """Write tables (of `tables.checked_table`) to `path` in a format of `FORMATS`."""

    tables: list[dict[str, Any]]
    name: str
    form: str
    raw: bool
    path: Path

    def do(self, tell: Tell) -> None:
        """Make values of the texts, and the file of them; `path` is there when all went well."""
        from tallow.documents.writers.files import BY_TABLE, WHOLE

        document = self._document()
        suffix = f".{self.form}"
        try:
            if suffix in WHOLE:
                made = WHOLE[suffix](document)
            elif len(document.tables) == 1:
                made = BY_TABLE[suffix](document.tables[0])
            else:
                made = _zipped(self.name, suffix, [BY_TABLE[suffix](t) for t in document.tables])
        except TallowError as error:
            tell({"kind": "error", "error": sentence(error)})
            return
        try:
            self.path.write_bytes(made)
        except OSError as error:
            tell({"kind": "error", "error": sentence(error), "full": error.errno in FULL})

    def _document(self) -> Document:
        from tallow.serve.table.tables import document_of
        from tallow.serve.table.typing import type_table

        document = document_of(self.name, self.tables)
        for table in document.tables:
            type_table(table, raw=self.raw)
        return document


def picture_path(folder: Path, file: int, page: int) -> Path:
    """Where the picture of a page lies."""
    return folder / f"page-{file}-{page}.png"


def sentence(error: BaseException) -> str:
    """An error as one sentence for the page."""
    if isinstance(error, MemoryError):
        return "This takes more memory than there is."
    text = " ".join(str(error).split())[:1000]
    if isinstance(error, TallowError):
        return text
    if isinstance(error, OSError):
        return f"A file could not be read or written: {error.strerror or text}."
    return f"Reading failed by a mistake of Tallow: {type(error).__name__}: {text}"


def _opened(each: Input) -> OpenedInput:
    from tallow.documents.inputs import open_input

    return open_input(each.path, name=each.name, password=each.password)


def _limit_pixels(pixels: int) -> None:
    """Let Tallow decode no larger pictures in this process."""
    from tallow.vision import images

    images.MAX_PIXELS = min(images.MAX_PIXELS, pixels)


def _save_picture(opened: OpenedInput, page: Page, path: Path) -> None:
    """Write the upright picture of a page, no larger than a screen shows well."""
    from tallow.serve.table.pictures import upright

    made = upright(opened.page(page.number), page)
    try:
        made.save(path, compress_level=3)
    except OSError:  # the disk is full
        path.unlink(missing_ok=True)
        raise


def _page_dict(page: Page, error: str, *, picture: bool) -> dict[str, Any]:
    names = ("number", "width", "height", "turn", "skew", "source")
    rest = {"error": error, "picture": picture, "tables": len(page.tables)}
    return {name: getattr(page, name) for name in names} | rest


def _zipped(name: str, suffix: str, parts: list[bytes]) -> bytes:
    from io import BytesIO
    from zipfile import ZIP_DEFLATED, ZipFile

    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        for number, part in enumerate(parts, 1):
            archive.writestr(f"{name}-{number}{suffix}", part)
    return made.getvalue()
