"""Steps without models: a page that is not blank has a table of one cell, which says its size."""

from __future__ import annotations

from tallow.documents import Cell, PageContent, Region, Slot, Structure, Table, Word
from tallow.documents.page_reading import Steps
from tallow.documents.steps import Upright


class Reader:
    def read(self, pixels):
        height, width, _ = pixels.shape
        return [] if pixels.min() == 255 else [Word(f"{width}×{height}", (0, 0, width, height))]

    def read_lines(self, crops):
        return [("", 0.0) for _ in crops]


def detect(content: PageContent) -> list[Region]:
    return [Region((0, 0, content.width, content.height))] if content.words else []


def propose(content: PageContent, region: Region) -> list[Structure]:
    return [Structure(1, 1, (Slot(0, 0),), "simple")]


def assign(content, region, structure, reader) -> Table:
    words = tuple(content.words)
    cell = Cell(0, 0, text=" ".join(word.text for word in words), words=words, box=region.box)
    return Table(1, 1, [cell], region.box, source=structure.source)


def type_cells(table: Table) -> None:
    for cell in table.cells:
        cell.value = cell.text


def simple_steps(named=None) -> Steps:
    return Steps(
        orient=Upright, reader=Reader(), look=lambda content: None, detect=detect,
        propose=[[propose]], propose_exact=[[propose]],
        select=lambda content, region, proposals: proposals[0] if proposals else None,
        assign=assign, type_cells=type_cells,
    )  # fmt: skip
