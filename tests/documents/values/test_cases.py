"""Every kind of cell in a column of its own: what it must be, and what it must never be."""

from __future__ import annotations

import pytest

import cases_of_adversary
import cases_of_values
from cases_of_values import TEXT
from tables_made import table_of
from tallow.documents.values import type_cells

COLUMNS = {**cases_of_values.COLUMNS, **cases_of_adversary.COLUMNS}


def made(name):
    header, cells = COLUMNS[name]
    table = table_of([[header], *[[""] for _ in cells]])
    for cell, row in zip(table.cells[1:], cells, strict=True):
        pieces = row[0].split("^")
        cell.text = "".join(pieces)
        at, raised = 0, []
        for number, piece in enumerate(pieces):
            if number % 2:
                raised.append((at, at + len(piece)))
            at += len(piece)
        cell.raised = tuple(raised)
    return table


def judged(name):
    """(text, wanted, got, whether it is right, whether it must never be) of each cell."""
    table = made(name)
    type_cells(table)
    for cell, row in zip(table.cells[1:], COLUMNS[name][1], strict=True):
        wanted = row[1] if isinstance(row[1], tuple) else (row[1],)
        wanted = tuple(cell.text if each is TEXT else each for each in wanted)
        right = any(type(cell.value) is type(each) and cell.value == each for each in wanted)
        note = len(row) < 3 or cell.note == row[2]
        yield row[0], wanted, cell.value, right and note, not right and cell.value != cell.text


@pytest.mark.parametrize("name", COLUMNS)
def test_every_cell_is_what_it_must_be(name):
    wrong = [row[:3] for row in judged(name) if not row[3]]
    assert not wrong


def test_there_are_enough_cells_and_none_is_what_it_must_never_be():
    rows = [row for name in COLUMNS for row in judged(name)]
    assert len(rows) >= 900
    assert not [row[:3] for row in rows if row[4]]
    assert sum(row[3] for row in rows) >= 0.95 * len(rows)
