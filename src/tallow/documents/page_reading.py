"""One page through the steps: upright, words, regions, structures, cells, values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tallow.documents.content import Fill, PageContent
from tallow.documents.document import Cell, Page, Table
from tallow.documents.geometry import Box, share_inside
from tallow.documents.inputs import InputPage
from tallow.documents.placed_pictures import (
    laid_back,
    moved,
    pictures_to_read,
    without_known,
)
from tallow.documents.steps import (
    Assign,
    Detect,
    Orient,
    Propose,
    Reader,
    Region,
    Select,
    TypeCells,
    Upright,
)
from tallow.documents.structure import Structure
from tallow.documents.turning import main_turn, turned, turned_box, turned_word
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.documents.content import Pixels


@dataclass(frozen=True)
class Steps:
    """The steps of a reader; `look` adds to a content what is drawn in its picture."""

    orient: Orient
    reader: Reader
    look: Callable[[PageContent], None]
    detect: Detect
    propose: Sequence[Sequence[Propose]]  # a group is asked where those before it settle nothing
    propose_exact: Sequence[Sequence[Propose]]  # the same of a text layer's known words
    select: Select
    assign: Assign
    type_cells: TypeCells


class PageReader:
    """Reads one page; `tell` is told the name of each step as it begins."""

    def __init__(self, steps: Steps, tell: Callable[[str], None]) -> None:
        self.steps, self._tell = steps, tell
        self.seconds: dict[str, float] = {}
        self._turned: list[tuple[Box, list[Region]]] = []  # pictures, and the tables in them

    def read(self, source: InputPage) -> Page:
        """The page's words and tables."""
        if source.content is not None:
            page, content = self._of_text_layer(source)
        else:
            page, content = self._of_picture(source)
        page.words = content.words
        with self._step("detect"):
            regions = self._regions(content)
        for region in regions:
            table = self._table(content, region)
            if table is not None:
                table.page, table.pages = page.number, (page.number,)
                page.tables.append(table)
        page.seconds = self.seconds
        return page

    def _regions(self, content: PageContent) -> list[Region]:
        """The tables of a page, and those of pictures on it that lie otherwise than its text."""
        regions = self.steps.detect(content)
        if not self._turned:
            return regions
        boxes = [box for box, _ in self._turned]
        regions = [each for each in regions
                   if not any(share_inside(each.box, box) > 0.5 for box in boxes)]  # fmt: skip
        regions += [each for _, found in self._turned for each in found]
        return sorted(regions, key=lambda each: (each.box[1], each.box[0]))

    def _of_picture(self, source: InputPage) -> tuple[Page, PageContent]:
        with self._step("orient"):
            upright = self.steps.orient(source.pixels())
        content = picture_content(upright.pixels)
        with self._step("words"):
            content.words = self.steps.reader.read(upright.pixels)
        with self._step("detect"):
            self.steps.look(content)
        page = Page(
            source.number, content.width, content.height, turn=upright.turn, skew=upright.skew,
            to_original=_unshrunk(upright, source.shrunk), source="picture",
        )  # fmt: skip
        return page, content

    def _of_text_layer(self, source: InputPage) -> tuple[Page, PageContent]:
        content = source.content
        assert content is not None
        for box in pictures_to_read(content):
            self._read_picture_of(content, box)
        page = Page(source.number, content.width, content.height, source="text layer",
                    scale=content.scale)  # fmt: skip
        return page, content

    def _read_picture_of(self, content: PageContent, box: Box) -> None:
        """Add words, rulings and fills of a picture on the page, turned and levelled to be read."""
        with self._step("orient"):
            pixels = content.crop(box)
            upright = self.steps.orient(pixels)
        with self._step("words"):
            part = picture_content(upright.pixels)
            part.words = self.steps.reader.read(upright.pixels)
            if not part.words:
                return
            self.steps.look(part)
        k = content.scale
        left, top = int(max(0, box[0] * k)) / k, int(max(0, box[1] * k)) / k
        height, width = pixels.shape[:2]
        placed = moved(laid_back(part, upright, width, height), left, top, k)
        if upright.turn:
            with self._step("detect"):
                marks = [Fill(region.box, (0, 0, 0)) for region in self.steps.detect(part)]
            found = moved(
                laid_back(replace(part, fills=marks), upright, width, height), left, top, k
            )
            self._turned.append((box, [Region(each.box) for each in found.fills]))
        content.words += without_known(placed.words, content.words)
        content.rulings += placed.rulings
        content.fills += placed.fills

    def _table(self, content: PageContent, region: Region) -> Table | None:
        """The table in a region; None where it has no structure."""
        steps, turn = self.steps, region.turn or -main_turn(content.words, region.box) % 360
        upright = turned(content, turn)
        at = turned_box(region.box, turn, content.width, content.height)
        region = replace(region, box=at, turn=0)
        exact = content.source == "text layer"
        with self._step("structure"):
            groups = steps.propose_exact if exact else steps.propose
            proposals = _proposals(upright, region, groups)
            structure = steps.select(upright, region, proposals)
        if structure is None or not is_credible(structure, region):
            return None
        with self._step("cells"):
            table = steps.assign(upright, region, structure, None if exact else steps.reader)
            steps.type_cells(table)
        if turn:
            _turn_back(table, turn, upright)
        return table

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._tell(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


_GUESSES = frozenset(("alignment", "grid", "layout", "rules", "whole"))


def is_credible(structure: Structure, region: Region) -> bool:
    """Whether what was found in a region that nobody named is a table.

    One cell is none, and neither is one column where columns are all that spoke for it.
    """
    if region.source == "alignment" and structure.columns == 1:
        return False
    guessed = _GUESSES.issuperset(region.source.split("+"))
    return structure.rows * structure.columns > 1 or not guessed


def _proposals(
    content: PageContent, region: Region, groups: Sequence[Sequence[Propose]]
) -> list[Structure]:
    """What the groups propose, until what they propose is settled."""
    from tallow.documents.structures.settling import settled

    proposals: list[Structure] = []
    for number, group in enumerate(groups, 1):
        proposals += [made for propose in group for made in propose(content, region)]
        if number < len(groups) and settled(content, region, proposals):
            break
    return proposals


def picture_content(pixels: Pixels) -> PageContent:
    """An upright picture as a page without words."""
    height, width = pixels.shape[:2]
    return PageContent(width, height, "picture", rendered=lambda: pixels)


def _turn_back(table: Table, turn: int, content: PageContent) -> None:
    """Boxes of a table that was turned, and its words, as they are on its page."""
    back, width, height = -turn % 360, content.width, content.height
    parts: list[Table | Cell] = [table, *table.cells]
    for part in parts:
        if part.box is not None:
            part.box = turned_box(part.box, back, width, height)
    for cell in table.cells:
        cell.words = tuple(turned_word(word, back, width, height) for word in cell.words)


def _unshrunk(upright: Upright, shrunk: float) -> tuple[float, ...]:
    """The homography to the pixels of the file, where the picture was made smaller."""
    a, b, c, d, e, f, g, h, i = upright.to_original
    k = 1 / shrunk
    return a * k, b * k, c * k, d * k, e * k, f * k, g, h, i
