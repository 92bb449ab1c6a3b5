"""The steps of reading tables: each is a function of this shape, and can be replaced by another.

orient → (words) → detect → propose → select → assign → type → join → write. A step is given by
name (a row of its table) or as any callable of the same signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tallow.documents.content import PageContent, Word
from tallow.documents.document import Table
from tallow.documents.geometry import Box
from tallow.documents.structure import Structure
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.documents.content import Pixels


@dataclass(frozen=True)
class Upright:
    """A picture that was turned upright: (height, width, 3) RGB, and what undid what.

    `to_original` maps its pixels to those of the picture it was made of (3 × 3, row by row).
    """

    pixels: Pixels
    turn: int = 0
    skew: float = 0.0
    to_original: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Region:
    """Where a table is: `score` from 0 to 1, `turn` how many degrees clockwise it is turned."""

    box: Box
    score: float = 1.0
    turn: int = 0
    source: str = ""


@dataclass(frozen=True)
class Progress:
    """How far reading has come: `done` of `count` pages, and the step that page `page` is in.

    Steps are "open", "orient", "words", "detect", "structure", "cells" and "done".
    """

    page: int
    done: int
    count: int
    step: str


class Orient(Protocol):
    """A picture turned upright: four turns, skew, perspective; dark pages made light."""

    def __call__(self, pixels: Pixels) -> Upright:
        """`pixels` are RGB, (height, width, 3)."""
        ...


class Reader(Protocol):
    """Words of pictures."""

    def read(self, pixels: Pixels) -> list[Word]:
        """The words of a page, in its pixels."""
        ...

    def read_lines(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of pictures that hold one line each."""
        ...


class Detect(Protocol):
    """Where the tables of a page are."""

    def __call__(self, content: PageContent) -> list[Region]:
        """Regions in order of reading; none where there is no table."""
        ...


class Propose(Protocol):
    """What rows, columns and spans a table has; several proposals, or none."""

    def __call__(self, content: PageContent, region: Region) -> list[Structure]:
        """Proposals for the table in `region`."""
        ...


class Select(Protocol):
    """One structure of several, by evidence of the page."""

    def __call__(
        self, content: PageContent, region: Region, proposals: Sequence[Structure]
    ) -> Structure | None:
        """The best, or one made of several; None where none fits."""
        ...


class Assign(Protocol):
    """The words of a page put into the cells of a structure, header marked."""

    def __call__(
        self, content: PageContent, region: Region, structure: Structure, reader: Reader | None
    ) -> Table:
        """`reader` reads doubtful cells again; None of a text layer."""
        ...


class TypeCells(Protocol):
    """Values and number formats of a table's cells, set in place."""

    def __call__(self, table: Table) -> None:
        """Decide column by column."""
        ...
