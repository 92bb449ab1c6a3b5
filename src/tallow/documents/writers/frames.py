"""Tables as typed columns: pandas data frames and Parquet files."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from tallow.documents.document import Cell, Table, Value
from tallow.documents.writers.text import clean, column_names, held, is_number, plain
from tallow.errors import MissingExtraError
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import pandas as pd

# What tables print where there is no number: a gap of a column of numbers, not a text.
MISSING: Final = frozenset({
    "-", "–", "—", "−", "--", "---", "...", "…", "..", ".", "·", "n/a", "na", "n.a.", "n/d", "nd",
    "n.d.", "nil", "none", "null", "nan",
})  # fmt: skip


@dataclass
class Column:
    """A column of a frame: `kind` is integer, number, date, datetime, time or text."""

    name: str
    kind: str
    values: list[Value]


def columns_of(table: Table) -> list[Column]:
    """The body of a table by columns, each of one kind.

    What spans several places stands in each of them, as pandas.read_html has it; a row that is one
    cell wide (a section) stands in its first column alone. In a column whose other values are
    numbers or dates, a dash or `n/a` is a gap; a column of several kinds is its texts.
    """
    head = min(table.header_rows, table.rows)
    places: list[list[Cell | None]] = [[None] * (table.rows - head) for _ in range(table.columns)]
    for cell in table.cells:
        section = cell.header == "section" or (cell.column_span == table.columns > 1)
        right = cell.column + 1 if section else min(cell.right, table.columns)
        for column in range(cell.column, right):
            for row in range(max(cell.row, head), min(cell.bottom, table.rows)):
                places[column][row - head] = cell
    names = column_names(table)
    return [_column(name, cells) for name, cells in zip(names, places, strict=True)]


def table_frame(table: Table) -> pd.DataFrame:
    """A table as a pandas data frame: the header rows name the columns, each has one dtype.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError(
            "Table.to_pandas: needs the package pandas: pip install pandas"
        ) from None
    series = {}
    for column in columns_of(table):
        kind = {"integer": "Int64", "number": "float64", "datetime": "datetime64[s]"}.get(
            column.kind, "object"
        )
        if kind == "Int64" and None not in column.values:
            kind = "int64"
        series[column.name] = pd.Series(column.values, dtype=kind)
    return pd.DataFrame(series)


def table_parquet(table: Table) -> bytes:
    """A table as a Parquet file with typed columns.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(
            "Document.to_parquet: needs the package pyarrow: pip install pyarrow"
        ) from None
    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "date": pa.date32(),
        "datetime": pa.timestamp("s"),
        "time": pa.time32("s"),
        "text": pa.string(),
    }
    columns = columns_of(table)
    arrays = [pa.array(column.values, types[column.kind]) for column in columns]
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays, names=[column.name for column in columns]), out)
    made: bytes = out.getvalue().to_pybytes()
    return made


def _column(name: str, cells: list[Cell | None]) -> Column:
    values = [None if cell is None else held(cell) for cell in cells]
    rest = [value for value in values if value is not None and not _is_gap(value)]
    kind = _kind(rest)
    if kind == "text":
        return Column(name, kind, [None if v is None else _text(v, c)
                                   for v, c in zip(values, cells, strict=True)])  # fmt: skip
    gone: list[Value] = [None if value is None or _is_gap(value) else value for value in values]
    if kind == "number":
        gone = [None if value is None else float(value) for value in gone]  # type: ignore[arg-type]
    return Column(name, kind, gone)


def _is_gap(value: Value) -> bool:
    return isinstance(value, str) and value.strip().lower() in MISSING


def _text(value: Value, cell: Cell | None) -> str:
    return (clean(cell.text) if cell is not None else "") or plain(value)


def _kind(values: list[Any]) -> str:
    """The kind that all values share; text where they share none or there are none."""
    kinds: dict[str, Any] = {
        "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "number": is_number,
        "datetime": lambda v: isinstance(v, datetime),
        "date": lambda v: isinstance(v, date) and not isinstance(v, datetime),
        "time": lambda v: isinstance(v, time),
    }
    fitting = (kind for kind, fits in kinds.items() if values and all(map(fits, values)))
    return next(fitting, "text")
