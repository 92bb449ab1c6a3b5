"""A run of `tallow table`: files read page by page, kept in a journal, written at the end."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.cli.items import Failures, NamedItem
from tallow.cli.table_targets import stems
from tallow.cli.writing import check_writable, note, refuse_existing, written
from tallow.errors import ArgumentError

if TYPE_CHECKING:
    from tallow.documents import Document, Page, TableReader
    from tallow.documents.journal import Journal


class _UnwrittenError(ArgumentError):
    """The journal cannot be written: no page after it would be kept."""


SUFFIXES = ("xlsx", "csv", "html", "md", "json", "parquet")
SPLIT = ("csv", "parquet")
"""Formats of one table: the second of `a` goes to `a-2.csv`."""


class Job:
    """Reads documents and writes their tables to `output`, or prints them.

    Raises:
        UsageError: the options do not go together.
        ArgumentError: the output is there already, or cannot be written.
    """

    command = "table"
    default = "xlsx"
    binary: tuple[str, ...] = ("xlsx", "parquet")
    lean = True  # nothing that is written needs the words of pages

    def __init__(
        self,
        reader: TableReader,
        output: str | None,
        format: str | None,
        settings: dict[str, Any],
        *,
        resume: bool,
        force: bool,
    ) -> None:
        self.reader, self.output, self.settings, self.resume = reader, output, settings, resume
        self.folder = output is not None and (output.endswith("/") or os.path.isdir(output))
        self.format = format or self._format_of(output)
        self.force = force
        if output is None:
            _refuse_without_output(resume, self.format, self.binary)
        elif not self.folder:
            for path in [output] if resume else self._written_as(output):
                refuse_existing(path, force)
            check_writable(output)

    def run(self, found: list[NamedItem], pages: str | None, password: str | None) -> int:
        """Read and write everything; gives how many pages have no table.

        Raises:
            ArgumentError: some files or pages failed; what the others have is written.
        """
        _ = self.reader.steps  # a wrong name is told once, before any page is opened
        failures = Failures(self.command, len(found))
        ready = failures.sound(found)
        documents: list[Document] = []
        if self.folder:
            empty = sum(
                self._one(item, target, pages, password, failures)
                for item, target in self._targets(ready)
                if not self._is_done(target)
            )
        else:
            with self._journal(self.output, ready) as journal:
                for item in ready:
                    self._read(item, pages, password, failures, documents, journal)
                if documents:
                    self._write(documents, self.output)
            empty = sum(self.tell_empty(document) for document in documents)
        failures.tell()
        return empty

    @staticmethod
    def suffixes() -> dict[str, str]:
        """The format of a file by its suffix."""
        return {each: each for each in SUFFIXES}

    def _format_of(self, output: str | None) -> str | None:
        from tallow.cli.errors import UsageError

        if output is None:
            return None
        if self.folder:
            return self.default
        formats = self.suffixes()
        suffix = Path(output).suffix.lower().removeprefix(".")
        if suffix not in formats:
            wanted = ", ".join(f".{each}" for each in formats)
            raise UsageError(f"{output}: expected a name that ends in {wanted}, or --format")
        return formats[suffix]

    def ending(self) -> str:
        """What names of files in a folder end in."""
        return str(self.format)

    def tell_empty(self, document: Document) -> int:
        """A note for the pages that have no table; gives how many they are."""
        with_table = {number for table in document.tables for number in table.pages}
        empty = [p.number for p in document.pages if p.number not in with_table and not p.error]
        if empty and not with_table:
            note(f"{document.name}: no table found on {_counted(len(empty), 'page')}")
        elif empty:
            listed = ", ".join(map(str, empty[:20])) + (", …" if len(empty) > 20 else "")
            note(f"{document.name}: no table found on page {listed}")
        return len(empty)

    def _targets(self, ready: list[NamedItem]) -> list[tuple[NamedItem, str]]:
        """Where each file's tables go in the output's folder."""
        assert self.output is not None
        with written(self.output):
            os.makedirs(self.output, exist_ok=True)
        found = []
        for item, stem in zip(ready, stems([item.id for item in ready], self.split), strict=True):
            target = os.path.join(self.output, f"{stem}.{self.ending()}")
            if not self._is_done(target):
                for path in self._written_as(target):
                    refuse_existing(path, self.force)
            found.append((item, target))
        return found

    @property
    def split(self) -> bool:
        """Whether each table gets a file of its own, where a document has several."""
        return self.format in SPLIT

    def _written_as(self, target: str) -> list[str]:
        """The paths by which it is seen whether a document was written: of several, the first."""
        stem, suffix = os.path.splitext(target)
        return [target, f"{stem}-1{suffix}"] if self.split else [target]

    def _is_done(self, target: str) -> bool:
        """Whether the run that is gone on with wrote this file of its folder already."""
        there = any(map(os.path.isfile, self._written_as(target)))
        return self.resume and there and not os.path.lexists(f"{target}.partial")

    def _one(
        self,
        item: NamedItem,
        target: str,
        pages: str | None,
        password: str | None,
        failures: Failures,
    ) -> int:
        """A file to a file of its own; gives how many pages have no table."""
        documents: list[Document] = []
        try:
            with self._journal(target, [item]) as journal:
                self._read(item, pages, password, failures, documents, journal)
                for document in documents:
                    self._write([document], target)
        except ArgumentError as error:  # the files of others may be written all the same
            failures.add(item, error)
        return sum(self.tell_empty(document) for document in documents)

    def _read(
        self,
        item: NamedItem,
        pages: str | None,
        password: str | None,
        failures: Failures,
        documents: list[Document],
        journal: Journal | None,
    ) -> None:
        from tallow.errors import FormatError, MissingExtraError

        name = "stdin" if item.id == "-" else item.id
        try:
            with _bar(name) as tell:
                read = self.reader.pages(
                    item.value, name=name, pages=pages, password=password, progress=tell,
                    skip=lambda number: journal is not None and journal.has(name, number),
                )  # fmt: skip
                sound = self._sound(item, name, read, failures)
                if journal is None:
                    documents.append(self.reader.document(name, sound, lean=self.lean))
                    return
                bad: list[Page] = []
                for page in sound:
                    if page.error:
                        bad.append(page)
                    else:
                        self._keep(journal, name, page)
            listed = heapq.merge(journal.pages(name), bad, key=lambda page: page.number)
            documents.append(self.reader.document(name, listed, lean=self.lean))
        except _UnwrittenError:
            raise
        except (FormatError, ArgumentError, MissingExtraError) as error:
            failures.add(item, error)  # of a package that other files may do without, too

    @staticmethod
    def _sound(
        item: NamedItem, name: str, pages: Iterator[Page], failures: Failures
    ) -> Iterator[Page]:
        """Pages as they are read; those that could not be are told."""
        from tallow.errors import TallowError

        for page in pages:
            page.seconds = {}
            if page.error:
                # A picture's error begins with the file, a PDF's with the page, too.
                why = page.error.removeprefix(f"{name}: ").removeprefix(f"page {page.number}: ")
                failures.add_page(item, TallowError(f"{name}, page {page.number}: {why}"))
            yield page

    @staticmethod
    def _keep(journal: Journal, name: str, page: Page) -> None:
        try:
            with written(journal.path):
                journal.add(name, page)
        except ArgumentError as error:
            raise _UnwrittenError(f"{error}; --resume goes on") from error

    @contextmanager
    def _journal(self, target: str | None, inputs: list[NamedItem]) -> Iterator[Journal | None]:
        """The journal beside an output; it stays where the run is broken off."""
        from tallow.cli.writing import is_stream
        from tallow.documents.journal import Journal

        if target is None or is_stream(target):
            yield None
            return
        path = Path(f"{target}.partial")
        sizes = [[item.id, _size(item.value)] for item in inputs]
        with written(path):
            journal = Journal(path, {**self.settings, "inputs": sizes}, resume=self.resume)
        if len(journal):
            note(f"{len(journal)} pages are there already")
        finished = False
        try:
            yield journal
            finished = True
        except KeyboardInterrupt:
            note(f"interrupted after {len(journal)} pages; --resume goes on")
            raise
        finally:
            journal.close(remove=finished)

    def _write(self, documents: list[Document], target: str | None) -> None:
        from tallow.cli.table_output import show
        from tallow.documents.writers.files import write_as

        document = documents[0] if len(documents) == 1 else _together(documents)
        if target is None:
            show(document, self.format)
            return
        if not document.tables and self.format != "json":
            note(f"{target}: not written, as there is no table")
            return
        with written(target):
            paths = write_as(f".{self.format}", document, target, overwrite=self.force)
        count = len(document.tables)
        for number, path in enumerate(paths, 1):
            told = _counted(count, "table") if len(paths) == 1 else f"table {number} of {count}"
            note(f"{path}: {told}")


def _size(value: Any) -> list[int] | None:
    """How large an input is and when it was written, by which a changed one is known again."""
    if isinstance(value, bytes):
        return [len(value)]
    try:
        found = os.stat(value)
        return [found.st_size, found.st_mtime_ns]
    except (OSError, ValueError):
        return None


def _refuse_without_output(resume: bool, format: str | None, binary: tuple[str, ...]) -> None:
    from tallow.cli.errors import UsageError

    if resume:
        raise UsageError("--resume: expected -o OUT")
    if format in binary:
        raise UsageError(f"--format {format}: expected -o OUT")


def _together(documents: list[Document]) -> Document:
    """Several documents as one; tables without a title are named by their file."""
    from tallow.documents import Document

    pages: list[Page] = []
    tables = []
    for document in documents:
        pages += document.pages
        tables += document.tables
        for table in document.tables:
            table.title = table.title or Path(document.name).stem
    return Document(f"{len(documents)} files", pages, tables)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    """A bar of pages with the step that the current one is in."""
    from tallow.cli.output import printable
    from tallow.cli.writing import steps

    with steps(printable(os.path.basename(name))) as tell:
        yield lambda progress: tell(progress.done, progress.count, f"page {progress.page}: "
                                    f"{progress.step}")  # fmt: skip
