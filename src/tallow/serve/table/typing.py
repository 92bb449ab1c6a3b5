"""Values of edited tables: made of the texts again, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallow.documents.document import Table


def type_table(table: Table, *, raw: bool) -> None:
    """Decide the values of a table's cells, in place; `raw` keeps the texts."""
    if raw:
        for cell in table.cells:
            cell.value, cell.number_format = cell.text or None, ""
        return
    from tallow.documents.values.cells import type_cells

    type_cells(table)


def retyped(given: dict[str, Any], *, raw: bool) -> dict[str, Any]:
    """A checked table with values, types and notes made of its texts."""
    from tallow.serve.table.tables import table_dict, table_of

    table = table_of(given)
    type_table(table, raw=raw)
    made = table_dict(table)
    for cell, before in zip(made["cells"], given["cells"], strict=True):
        cell["page"] = before["page"]
    return made
