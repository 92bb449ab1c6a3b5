"""What reading gives: a document of pages, their tables, and the cells with typed values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tallow.documents.content import Word
from tallow.documents.geometry import Box
from tallow.lazy_dataclasses import dataclass, field, field_names, is_dataclass

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Value: TypeAlias = bool | int | float | str | date | datetime | time | None
Header: TypeAlias = Literal["", "column", "row", "section"]


@dataclass
class Cell:
    """A cell: its place and spans in the grid, its text, and what a spreadsheet is to hold.

    `box` is where it stands on its page. `confidence` is of its text, from 0 to 1; 1 of a text
    layer and of an empty cell. `raised` are (start, end) of superscripts in `text`. `value` is
    what the text means (None: empty; a text that is text), `number_format` how Excel shows it,
    `note` a footnote mark that was split off. `header` says whether it heads columns, rows or a
    section of rows that it stands above.
    """

    row: int
    column: int
    row_span: int = 1
    column_span: int = 1
    text: str = ""
    box: Box | None = None
    confidence: float = 1.0
    header: Header = ""
    bold: bool = False
    raised: tuple[tuple[int, int], ...] = ()
    align: Literal["", "left", "center", "right"] = ""
    value: Value = None
    number_format: str = ""
    note: str = ""
    words: tuple[Word, ...] = field(default=(), repr=False)

    @property
    def bottom(self) -> int:
        """The row after its last one."""
        return self.row + self.row_span

    @property
    def right(self) -> int:
        """The column after its last one."""
        return self.column + self.column_span


@dataclass
class ColumnType:
    """What was decided of a column, and why: `reasons` are sentences for people."""

    kind: str = "text"
    reasons: tuple[str, ...] = ()


@dataclass
class Table:
    """A table: cells that tile `rows` × `columns`, in order of rows, then columns.

    `page` is the number of the (first) page, from 1; `pages` all, where it goes on over pages.
    `source` names what gave its structure ("rulings", "slanet-plus", …), `header_rows` is how many
    rows from the top are a header. `confidence` is from 0 to 1.
    """

    rows: int
    columns: int
    cells: list[Cell]
    box: Box | None = None
    page: int = 1
    pages: tuple[int, ...] = ()
    title: str = ""
    source: str = ""
    confidence: float = 1.0
    header_rows: int = 0
    column_types: list[ColumnType] = field(default_factory=list)

    def cell(self, row: int, column: int) -> Cell:
        """The cell that covers a place.

        Raises:
            IndexError: the grid has no such place.
        """
        for cell in self.cells:
            if cell.row <= row < cell.bottom and cell.column <= column < cell.right:
                return cell
        raise IndexError(f"Table: expected a place in {self.rows} × {self.columns}, "
                         f"got ({row}, {column})")  # fmt: skip

    def to_html(self) -> str:
        """One `<table>` element, as `tallow.documents.writers.html.table_html`."""
        from tallow.documents.writers.html import table_html

        return table_html(self)

    def to_csv(self, *, guard: bool = True, fill: bool = False) -> str:
        """CSV, as `tallow.documents.writers.csv.table_csv`."""
        from tallow.documents.writers.csv import table_csv

        return table_csv(self, guard=guard, fill=fill)

    def to_markdown(self, *, fill: bool = False) -> str:
        """GitHub's Markdown, as `tallow.documents.writers.markdown.table_markdown`."""
        from tallow.documents.writers.markdown import table_markdown

        return table_markdown(self, fill=fill)

    def to_dict(self, *, words: bool = False) -> dict[str, Any]:
        """JSON's types; the words that cells were made of only with `words`."""
        from tallow.documents.writers.json import table_dict

        return table_dict(self, words=words)

    def to_pandas(self) -> pd.DataFrame:
        """A pandas data frame, as `tallow.documents.writers.frames.table_frame`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from tallow.documents.writers.frames import table_frame

        return table_frame(self)


@dataclass
class Page:
    """A page: its tables and text, and how its picture was turned.

    `turn` (0, 90, 180, 270 degrees clockwise) and `skew` (degrees) were undone. `to_original` is
    the 3 × 3 homography, row by row, from upright pixels to those of the file. `error` says why
    there is nothing, where there is an error.
    """

    number: int
    width: float
    height: float
    tables: list[Table] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    turn: int = 0
    skew: float = 0.0
    to_original: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    source: str = "picture"
    scale: float = 1.0
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Document:
    """All pages of a file; `tables` are those of all pages, joined over pages where they go on."""

    name: str
    pages: list[Page] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    def words(self) -> Iterator[tuple[int, Word]]:
        """Every word with the number of its page."""
        for page in self.pages:
            yield from ((page.number, word) for word in page.words)

    def to_html(self) -> str:
        """All tables as one HTML page."""
        from tallow.documents.writers.html import document_html

        return document_html(self)

    def to_csv(self, *, guard: bool = True) -> str:
        """All tables as CSV, an empty line between them."""
        from tallow.documents.writers.csv import tables_csv

        return tables_csv(self.tables, guard=guard)

    def to_markdown(self, *, fill: bool = False) -> str:
        """All tables as GitHub's Markdown, an empty line between them."""
        from tallow.documents.writers.markdown import tables_markdown

        return tables_markdown(self.tables, fill=fill)

    def to_json(self, *, words: bool = False) -> str:
        """Pages and tables with the reasons of columns, as JSON text."""
        from tallow.documents.writers.json import document_json

        return document_json(self, words=words)

    def to_excel(self, path: str | PathLike[str], *, overwrite: bool = True) -> None:
        """Write an XLSX workbook, one sheet a table.

        Raises:
            MissingExtraError: openpyxl is not installed.
            ArgumentError: there is no table, one is larger than a sheet, or the file is there.
            OSError: the file cannot be written; nothing is left of it.
        """
        from tallow.documents.writers.files import write_as

        write_as(".xlsx", self, path, overwrite=overwrite)

    def to_parquet(self, path: str | PathLike[str], *, overwrite: bool = True) -> list[Path]:
        """Write each table as a Parquet file, and give their paths, as `save` does.

        Raises:
            MissingExtraError: pyarrow is not installed.
            ArgumentError: there is no table, or a file is there.
            OSError: a file cannot be written; nothing is left of any.
        """
        from tallow.documents.writers.files import write_as

        return write_as(".parquet", self, path, overwrite=overwrite)

    def save(self, path: str | PathLike[str], *, overwrite: bool = True) -> list[Path]:
        """Write .xlsx, .csv, .tsv, .html, .md, .json or .parquet, and give what was written.

        See `tallow.documents.writers.files.save`, also for what it raises.
        """
        from tallow.documents.writers.files import save

        return save(self, path, overwrite=overwrite)


def forget_words(tables: Iterable[Table]) -> None:
    """Let cells go without the words that they were made of, which take most of their memory."""
    for table in tables:
        for cell in table.cells:
            cell.words = ()


def as_dict(value: Any) -> Any:
    """A document or a part of it as JSON's types."""
    names = _names_of(type(value))
    if names:
        return {name: as_dict(getattr(value, name)) for name in names}
    if isinstance(value, list | tuple):
        return [as_dict(each) for each in value]
    if isinstance(value, dict):
        return {str(key): as_dict(each) for key, each in value.items()}
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value  # numpy's numbers


def _names_of(cls: type) -> tuple[str, ...]:
    """The fields of a dataclass; none of another class. Asked of every cell, so they are kept."""
    if cls not in _known_names:
        _known_names[cls] = field_names(cls) if is_dataclass(cls) else ()
    return _known_names[cls]


_known_names: dict[type, tuple[str, ...]] = {}
