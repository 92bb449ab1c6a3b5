"""The steps that names mean: what `models="best"`, `--ocr`, `--detect` and `--structure` choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tallow.documents.page_reading import Steps
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import PageContent
    from tallow.documents.document import Table
    from tallow.documents.steps import (
        Detect,
        Orient,
        Propose,
        Reader,
        Select,
        TypeCells,
    )


@dataclass(frozen=True)
class Named:
    """What a `TableReader` was asked for."""

    models: Literal["best", "fast"]
    ocr: str | Reader | None
    language: str | None
    detect: str | Detect | None
    structure: str | Propose | None
    orient: Orient | None
    select: Select | None
    raw: bool


def steps_of(named: Named) -> Steps:
    """The steps; models are opened when they are first used."""
    from tallow.documents.cells.assign import assign
    from tallow.documents.pictures.upright import orient
    from tallow.documents.structures.select import select

    exact = _exact_proposals()
    return Steps(
        orient=named.orient or orient,
        reader=_reader(named),
        look=look,
        detect=_detect(named),
        propose=_proposals(named, exact),
        propose_exact=exact,
        select=named.select or select,
        assign=assign,
        type_cells=_typing(named.raw),
    )


def look(content: PageContent) -> None:
    """Add the rulings and fills that are drawn in a page's picture."""
    from tallow.documents.pictures.fills import find_fills
    from tallow.documents.pictures.rulings import find_rulings

    pixels = content.pixels()
    content.rulings += find_rulings(pixels)
    content.fills += find_fills(pixels)


def _reader(named: Named) -> Reader:
    from tallow.documents.ocr import reader_of

    if named.ocr is not None and not isinstance(named.ocr, str):
        return named.ocr
    name = named.ocr or ("tiny" if named.models == "fast" else "small")
    return reader_of(name, language=named.language)


def _detect(named: Named) -> Detect:
    from tallow.documents import detection

    if named.detect is None:
        return detection.detect
    return detection.by_name(named.detect) if isinstance(named.detect, str) else named.detect


def _exact_proposals() -> list[Propose]:
    from tallow.documents.structures import aligned, ruled

    return [ruled.propose, aligned.propose]


def _proposals(named: Named, exact: Sequence[Propose]) -> list[Propose]:
    from tallow.documents.structures import cycle_center_net, lore, slanet, table_transformer

    if named.structure is not None:
        if isinstance(named.structure, str):
            return [table_transformer.by_name(named.structure)]
        return [named.structure]
    fast = [*exact, slanet.propose]
    return fast if named.models == "fast" else [*fast, cycle_center_net.propose, lore.propose]


def _typing(raw: bool) -> TypeCells:
    from tallow.documents.values import type_cells

    return _keep_text if raw else type_cells


def _keep_text(table: Table) -> None:
    """`--raw`: every value is the text."""
    for cell in table.cells:
        cell.value = cell.text or None
