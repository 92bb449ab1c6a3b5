"""Tables as the page edits them, in JSON's types: made of read ones, checked, and made tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tallow.documents.document import Cell, ColumnType, Document, Page, Table, as_dict
from tallow.documents.geometry import Box
from tallow.serve.table.refusals import RefusalError

_TEXT_LENGTH = 32_767  # Excel's limit of a cell
_NEXT_PAGE = 0.15  # of a page's height: so much higher does a table go on at least
_HEADERS = ("", "column", "row", "section")
_ALIGNS = ("", "left", "center", "right")


def table_dict(table: Table, pages: Sequence[Page] = ()) -> dict[str, Any]:
    """A table as JSON's types; each cell with the number of the page that it stands on."""
    made = {
        "rows": table.rows,
        "columns": table.columns,
        "box": table.box,
        "page": table.page,
        "pages": list(table.pages or (table.page,)),
        "title": table.title,
        "source": table.source,
        "confidence": table.confidence,
        "header_rows": table.header_rows,
        "column_types": [
            {"kind": each.kind, "reasons": list(each.reasons)} for each in table.column_types
        ],
    }
    of_rows = _page_of_rows(table, {page.number: page.height for page in pages})
    made["cells"] = [_cell_dict(cell, of_rows[cell.row]) for cell in table.cells]
    return made


def _cell_dict(cell: Cell, page: int) -> dict[str, Any]:
    names = (
        "row", "column", "row_span", "column_span", "text", "box", "confidence", "header", "bold",
        "align", "value", "number_format", "note", "raised",
    )  # fmt: skip
    return {name: as_dict(getattr(cell, name)) for name in names} | {"page": page}


def _page_of_rows(table: Table, heights: Mapping[int, float]) -> list[int]:
    """The page that each row stands on, for tables that go on over pages.

    A table ends in the lower part of a page and goes on in the upper part of the next: a row that
    stands much higher than the one before it begins a page.
    """
    pages = list(table.pages or (table.page,))
    tops = [math.inf] * table.rows
    for cell in table.cells:
        if cell.box:
            tops[cell.row] = min(tops[cell.row], cell.box[1])
    found, place, before = [], 0, -math.inf
    for top in tops:
        least = _NEXT_PAGE * heights.get(pages[place], 0.0)
        if math.isfinite(top):
            if place + 1 < len(pages) and top < before - max(least, 1.0):
                place += 1
            before = top
        found.append(pages[place])
    return found


def checked_table(given: Any, cells: int, *, read: bool = False) -> dict[str, Any]:
    """A table that came as JSON, with nothing but what belongs there.

    `read` keeps what is made of texts (values, types); of an edited table that is made again.

    Raises:
        RefusalError: it is no table, or one whose cells do not tile it (400), or too large (413).
    """
    try:
        rows, columns = _count(given["rows"]), _count(given["columns"])
        if rows * columns > cells:
            raise RefusalError(413, f"The table has too many cells: at most {cells}.")
        made: dict[str, Any] = {
            "rows": rows,
            "columns": columns,
            "box": _box(given.get("box")),
            "page": _count(given.get("page", 1)),
            "pages": [_count(page) for page in given.get("pages", [])][:10_000],
            "title": _text(given.get("title", "")),
            "source": _text(given.get("source", ""))[:100],
            "confidence": _share(given.get("confidence", 1.0)),
            "header_rows": min(max(int(given.get("header_rows", 0)), 0), rows),
            "column_types": _column_types(given.get("column_types", []), columns) if read else [],
            "version": 1,
            "cells": [checked_cell(each, read) for each in given["cells"][: cells + 1]],
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RefusalError(400, f"The table is malformed: {str(error)[:100]}.") from None
    made["cells"].sort(key=lambda cell: (cell["row"], cell["column"]))
    _check_tiles(made)
    return made


def _check_tiles(table: dict[str, Any]) -> None:
    rows, columns = table["rows"], table["columns"]
    seen: set[tuple[int, int]] = set()
    for cell in table["cells"]:
        bottom, right = cell["row"] + cell["row_span"], cell["column"] + cell["column_span"]
        if bottom > rows or right > columns:
            raise RefusalError(400, "A cell of the table reaches beyond it.")
        places = {(r, c) for r in range(cell["row"], bottom) for c in range(cell["column"], right)}
        if places & seen:
            raise RefusalError(400, "Two cells of the table overlap.")
        seen |= places
    if len(seen) != rows * columns:
        raise RefusalError(400, "A place of the table has no cell.")


def checked_cell(given: dict[str, Any], read: bool = False) -> dict[str, Any]:
    """A cell that came as JSON, with nothing but what belongs there.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    row, column = int(given["row"]), int(given["column"])
    if row < 0 or column < 0:
        raise ValueError("a cell stands before the first row or column")
    text = _text(given.get("text", ""))
    return {
        "row": row,
        "column": column,
        "row_span": _count(given.get("row_span", 1)),
        "column_span": _count(given.get("column_span", 1)),
        "text": text,
        "box": _box(given.get("box")),
        "page": _count(given.get("page", 1)),
        "confidence": _share(given.get("confidence", 1.0)),
        "header": _one_of(given.get("header", ""), _HEADERS),
        "bold": bool(given.get("bold", False)),
        "align": _one_of(given.get("align", ""), _ALIGNS),
        "value": _value(given.get("value")) if read else None,
        "number_format": _text(given.get("number_format", ""))[:100] if read else "",
        "note": _text(given.get("note", ""))[:100] if read else "",
        "raised": _raised(given.get("raised", []), len(text)),
    }


def _value(given: Any) -> bool | int | float | str | None:
    if isinstance(given, str):
        return _text(given)
    if isinstance(given, bool | int) or (isinstance(given, float) and math.isfinite(given)):
        return given
    return None


def _raised(given: Any, length: int) -> list[tuple[int, int]]:
    """Superscripts that lie in the text, one after the other."""
    made: list[tuple[int, int]] = []
    for start, end in list(given)[:1000]:
        if (made[-1][1] if made else 0) <= int(start) < int(end) <= length:
            made.append((int(start), int(end)))
    return made


def _column_types(given: Any, columns: int) -> list[dict[str, Any]]:
    return [
        {"kind": _text(each["kind"])[:100], "reasons": [_text(r) for r in each["reasons"]][:20]}
        for each in given[:columns]
    ]


def _count(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 1_000_000:
        raise ValueError(f"expected a number from 1, got {str(given)[:20]}")
    return given


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"expected a text, got {str(given)[:20]}")
    # Neither XML nor a terminal takes control characters; lone surrogates cannot be encoded.
    kept = "".join(c for c in given if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff"))
    return kept[:_TEXT_LENGTH]


def _one_of(given: Any, known: tuple[str, ...]) -> str:
    if given not in known:
        raise ValueError(f"expected one of {known}, got {str(given)[:20]}")
    return str(given)


def _share(given: Any) -> float:
    number = float(given)
    if not 0 <= number <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {number}")
    return number


def _box(given: Any) -> list[float] | None:
    if given is None:
        return None
    left, top, right, bottom = (float(each) for each in given)
    if not all(math.isfinite(each) for each in (left, top, right, bottom)):
        raise ValueError("a box is not finite")
    return [left, top, right, bottom]


def table_of(given: dict[str, Any]) -> Table:
    """A checked table as what the writers take; its values are still to be made of the texts."""
    return Table(
        rows=given["rows"],
        columns=given["columns"],
        cells=[_cell_of(each) for each in given["cells"]],
        box=_box_of(given["box"]),
        page=given["page"],
        pages=tuple(given["pages"]),
        title=given["title"],
        source=given["source"],
        confidence=given["confidence"],
        header_rows=given["header_rows"],
        column_types=[
            ColumnType(each["kind"], tuple(each["reasons"])) for each in given["column_types"]
        ],
    )


def _cell_of(given: dict[str, Any]) -> Cell:
    changed = {
        "box": _box_of(given["box"]),
        "raised": tuple((start, end) for start, end in given["raised"]),
        "value": None,
    }
    kept = {name: value for name, value in given.items() if name != "page"}
    return Cell(**kept | changed)


def _box_of(given: list[float] | None) -> Box | None:
    return None if given is None else (given[0], given[1], given[2], given[3])


def document_of(name: str, tables: Sequence[dict[str, Any]]) -> Document:
    """A document of edited tables, for the writers."""
    return Document(name, tables=[table_of(each) for each in tables])
