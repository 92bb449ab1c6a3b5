"""Documents as files: the form follows the suffix, and each is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tallow.documents.document import Document, Table
from tallow.errors import ArgumentError, expect
from tallow.formats.replacing import Replacement, cleaned_at_signals, flush_folder


def _excel(document: Document) -> bytes:
    from tallow.documents.writers.xlsx import document_xlsx

    return document_xlsx(document)


def _html(document: Document) -> bytes:
    from tallow.documents.writers.html import document_html

    return document_html(document).encode()


def _markdown(document: Document) -> bytes:
    from tallow.documents.writers.markdown import tables_markdown

    return tables_markdown(document.tables).encode()


def _json(document: Document) -> bytes:
    from tallow.documents.writers.json import document_json

    return document_json(document).encode()


def _csv(table: Table) -> bytes:
    from tallow.documents.writers.csv import table_csv

    return table_csv(table).encode()


def _tsv(table: Table) -> bytes:
    from tallow.documents.writers.csv import table_csv

    return table_csv(table, delimiter="\t").encode()


def _parquet(table: Table) -> bytes:
    from tallow.documents.writers.frames import table_parquet

    return table_parquet(table)


WHOLE: Final[dict[str, Callable[[Document], bytes]]] = {
    ".xlsx": _excel,
    ".html": _html,
    ".htm": _html,
    ".md": _markdown,
    ".json": _json,
}
"""What holds all tables of a document, by suffix."""
BY_TABLE: Final[dict[str, Callable[[Table], bytes]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
"""What holds one table, by suffix: several go to several files."""


def save(document: Document, path: str | os.PathLike[str], *, overwrite: bool = True) -> list[Path]:
    """Write a document in the form of the path's suffix, and give the files that were written.

    Forms of one table (CSV, TSV, Parquet) take one file for one table; of several tables
    `out.csv` becomes `out-1.csv`, `out-2.csv` and so on. Every file is made before the first takes
    its place, so that nothing is half written when something fails.

    Raises:
        ArgumentError: the suffix is none of these, there is no table for its form, or a file is
            there already and not to `overwrite`.
        OSError: a file cannot be written; the disk is full.
        MissingExtraError: the form needs a package that is not installed.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    known = ", ".join([*WHOLE, *BY_TABLE])
    expect(suffix in WHOLE or suffix in BY_TABLE, "Document.save", f"a path that ends in one of "
           f"{known}", os.fspath(path), ArgumentError)  # fmt: skip
    return write_as(suffix, document, place, overwrite=overwrite)


def write_as(
    suffix: str, document: Document, path: str | os.PathLike[str], *, overwrite: bool = True
) -> list[Path]:
    """Write a document in the form of `suffix`, whatever the path ends in; otherwise as `save`."""
    place = Path(path)
    if suffix in WHOLE:
        return write_files({place: WHOLE[suffix](document)}, overwrite=overwrite)
    tables = document.tables
    expect(bool(tables), "Document.save", "a table", "none", ArgumentError)
    made = [BY_TABLE[suffix](table) for table in tables]
    found = dict(zip(places(place, len(tables)), made, strict=True))
    return write_files(found, overwrite=overwrite)


def places(path: Path, count: int) -> Sequence[Path]:
    """Where so many tables go that each need a file."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def write_files(contents: dict[Path, bytes], *, overwrite: bool = True) -> list[Path]:
    """Write files, all or none: each beside its place, then all into their places.

    Raises:
        ArgumentError: one is there already, and not to `overwrite`.
        OSError: one cannot be written; nothing is left of any.
    """
    for path in contents:
        there = path.exists() and path.is_file()
        wanted = "a path where no file is, or overwrite=True"
        expect(overwrite or not there, "Document.save", wanted, str(path), ArgumentError)
    with cleaned_at_signals(), ExitStack() as undo:
        made = []
        for path, content in contents.items():
            file = Replacement(os.fspath(path))
            undo.callback(file.discard)
            file.write(content)
            file.finish()
            made.append(file)
        for file in made:
            renamed = file.beside is not None
            file.commit()
            if renamed:
                flush_folder(os.path.dirname(file.place) or ".")
    return list(contents)
