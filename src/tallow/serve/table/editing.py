"""Edits of tables: whether they begin with what is there, and those of cells alone."""

from __future__ import annotations

from typing import Any

from tallow.serve.table.refusals import RefusalError
from tallow.serve.table.tables import checked_cell


def check_version(table: dict[str, Any], given: Any) -> None:
    """Refuse an edit of another version of the table; one that names none is of any.

    Raises:
        RefusalError: 409, another edit came first.
    """
    wanted = given.get("version") if isinstance(given, dict) else None
    if wanted is not None and wanted != table["version"]:
        raise RefusalError(409, "This table was changed meanwhile; ask for it again.")


def with_cells(table: dict[str, Any], given: Any) -> dict[str, Any]:
    """A table of `tables.checked_table` with other cells in their places; it stays as it is.

    Raises:
        RefusalError: what is given are no cells (400), or none of this table (409).
    """
    places = {(cell["row"], cell["column"]): k for k, cell in enumerate(table["cells"])}
    cells = list(table["cells"])
    spans = ("row_span", "column_span")
    try:
        for each in given["cells"]:
            made = checked_cell(each)
            k = places.get((made["row"], made["column"]))
            if k is None or any(cells[k][span] != made[span] for span in spans):
                raise RefusalError(409, "The table has no such cell; send all of it.")
            cells[k] = made
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RefusalError(400, f"The cells are malformed: {str(error)[:100]}.") from None
    return table | {"cells": cells}


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The cells, with their places in the list, that `after` has otherwise than `before`.

    Those that were just sent are among them: their values are None until they are made.
    """
    pairs = enumerate(zip(before["cells"], after["cells"], strict=True))
    return [(k, new) for k, (old, new) in pairs if old != new or old["value"] is None]
