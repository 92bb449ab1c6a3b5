"""The steps that names mean: what `models="best"`, `--ocr`, `--detect` and `--structure` choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tallow.documents.page_reading import Steps
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
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
    from tallow.documents.pictures.looking import look
    from tallow.documents.pictures.upright import orient
    from tallow.documents.structures.select import select

    return Steps(
        orient=named.orient or orient,
        reader=_reader(named),
        look=look,
        detect=_detect(named),
        propose=_proposals(named),
        propose_exact=_exact_groups(),
        select=named.select or select,
        assign=assign,
        type_cells=_typing(named.raw),
    )


def _exact_proposals() -> list[Propose]:
    from tallow.documents.structures import aligned, ruled

    return [ruled.propose, aligned.propose]


def _exact_groups() -> list[list[Propose]]:
    from tallow.documents.structures import slanet

    return [_exact_proposals(), [slanet.propose]]


def _proposals(named: Named) -> list[list[Propose]]:
    from tallow.documents.structures import classifier, slanet
    from tallow.documents.structures.named import proposers

    if isinstance(named.structure, str):
        return [proposers(named.structure)]
    if named.structure is not None:
        return [[named.structure]]
    fast = [*_exact_proposals(), slanet.propose]
    return [fast] if named.models == "fast" else [fast, [classifier.propose]]


def _detect(named: Named) -> Detect:
    from tallow.documents.detection.named import detector

    if named.detect is not None and not isinstance(named.detect, str):
        return named.detect
    return detector(named.detect)


def _reader(named: Named) -> Reader:
    from tallow.documents.ocr.named import reader_named

    if named.ocr is not None and not isinstance(named.ocr, str):
        return named.ocr
    return reader_named(named.ocr or ("tiny" if named.models == "fast" else None), named.language)


def _typing(raw: bool) -> TypeCells:
    from tallow.documents.values import cells

    return _keep_text if raw else cells.type_cells


def _keep_text(table: Table) -> None:
    """`--raw`: every value is the text."""
    for cell in table.cells:
        cell.value = cell.text or None
