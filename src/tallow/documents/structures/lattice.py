"""A grid of borders, which of them are drawn where, and the cells that are left between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from tallow.documents.content import Ruling
from tallow.documents.geometry import Box
from tallow.documents.structure import Slot
from tallow.documents.structures.lines import Line, Piece
from tallow.lazy_dataclasses import dataclass, field

_DRAWN = 0.5  # of the side of a place of the grid, that a ruling must cover
# Of the height of text.
_OVER = 0.3  # that text must reach beyond a border, to both sides, to stand over it
_JUNCTION = 0.35  # that the end of a ruling may be away from the one it meets
_BLOCK_GAP = 1.5  # between blocks of text that are cells of their own
_LEVEL = 0.4  # that lines of one row may differ by


@dataclass
class Level:
    """A border of rows (or columns) at `at`, with the stretches where it is drawn."""

    at: float
    pieces: list[tuple[float, float]] = field(default_factory=list)
    drawn: bool = True  # False: seen from white space; it holds wherever no text is over it

    def covers(self, start: float, end: float) -> bool:
        """Whether the border is drawn along most of a stretch."""
        if not self.drawn:
            return True
        total, reached = 0.0, start
        for a, b in sorted(self.pieces):
            a, b = max(a, reached), min(b, end)
            if b > a:
                total, reached = total + b - a, b
        return total >= _DRAWN * (end - start)


def levels_of(rulings: Sequence[Ruling], near: float, shortest: float) -> list[Level]:
    """Rulings of one direction as levels; those that lie within `near` are one."""
    levels: list[tuple[Level, float]] = []
    for each in sorted(rulings, key=lambda ruling: ruling.at):
        length = each.end - each.start
        if levels and each.at - levels[-1][0].at <= near:
            level, weight = levels[-1]
            level.at = (level.at * weight + each.at * length) / max(weight + length, 1e-9)
            level.pieces.append((each.start, each.end))
            levels[-1] = (level, weight + length)
        else:
            levels.append((Level(each.at, [(each.start, each.end)]), length))
    return [level for level, weight in levels if weight >= shortest]


def _place(level: Level) -> float:
    return level.at


@dataclass(frozen=True)
class Area:
    """Places of a grid that no drawn border divides: rows and columns, the last ones excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def is_one(self) -> bool:
        """Whether it is a single place."""
        return self.bottom - self.top == 1 and self.right - self.left == 1


class Lattice:
    """A grid with the words that stand in it."""

    def __init__(
        self, rows: Sequence[Level], columns: Sequence[Level], lines: Sequence[Line], height: float
    ) -> None:
        self.rows, self.columns, self.height = list(rows), list(columns), height
        self.pieces = [piece for line in lines for piece in line.pieces]
        self.in_rows = self._pieces_in_rows()

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self.rows) - 1, len(self.columns) - 1

    def _pieces_in_rows(self) -> list[list[Piece]]:
        rows: list[list[Piece]] = [[] for _ in range(len(self.rows) - 1)]
        for piece in self.pieces:
            rows[self.row_of(piece.box)].append(piece)
        return rows

    def row_of(self, box: Box) -> int:
        """The row that the middle of a box lies in."""
        middle = (box[1] + box[3]) / 2
        return bisect_right(self.rows, middle, 1, len(self.rows) - 1, key=_place) - 1

    def column_of(self, box: Box) -> int:
        """The column that the middle of a box lies in."""
        middle = (box[0] + box[2]) / 2
        return bisect_right(self.columns, middle, 1, len(self.columns) - 1, key=_place) - 1

    def areas(self) -> list[Area]:
        """The grid as rectangles between drawn borders, each divided where its text asks for it."""
        found: list[Area] = []
        for area in self._rectangles():
            found += [area] if area.is_one else self._divided(area)
        return found

    def slots(self) -> list[Slot]:
        """The cells."""
        return [
            Slot(
                area.top, area.left, area.bottom - area.top, area.right - area.left,
                (
                    self.columns[area.left].at, self.rows[area.top].at,
                    self.columns[area.right].at, self.rows[area.bottom].at,
                ),
            )
            for area in self.areas()
        ]  # fmt: skip

    def below_is_drawn(self, row: int, column: int) -> bool:
        """Whether the border below a place is drawn."""
        a, b = self.columns[column].at, self.columns[column + 1].at
        return self.rows[row + 1].covers(a, b)

    def right_is_drawn(self, row: int, column: int) -> bool:
        """Whether the border right of a place is drawn."""
        level = self.columns[column + 1]
        if not level.drawn:
            return not self._is_crossed(level.at, self.in_rows[row])
        if level.covers(self.rows[row].at, self.rows[row + 1].at):
            return True
        ends = self._ends_at(self.rows[row], level.at) or self._ends_at(
            self.rows[row + 1], level.at
        )
        return ends and not self._is_crossed(level.at, self.in_rows[row])

    def _ends_at(self, level: Level, at: float) -> bool:
        """Whether a piece of a border ends at a border across, which it must have met there."""
        near = _JUNCTION * self.height
        ends = any(min(abs(a - at), abs(b - at)) <= near for a, b in level.pieces)
        return ends and not any(a < at - near and b > at + near for a, b in level.pieces)

    def _rectangles(self) -> list[Area]:
        """Rectangles of places that missing borders join, each as wide, then as tall, as can be."""
        height, width = self.shape
        taken = [[False] * width for _ in range(height)]
        found = []
        for top in range(height):
            for left in range(width):
                if taken[top][left]:
                    continue
                right = left + 1
                while (
                    right < width
                    and not taken[top][right]
                    and not self.right_is_drawn(top, right - 1)
                ):
                    right += 1
                bottom = top + 1
                while bottom < height and self._row_joins(taken, bottom, left, right):
                    bottom += 1
                for row in range(top, bottom):
                    taken[row][left:right] = [True] * (right - left)
                found.append(Area(top, left, bottom, right))
        return found

    def _row_joins(self, taken: list[list[bool]], row: int, left: int, right: int) -> bool:
        """Whether a row of places joins the rectangle above it, as wide as that is."""
        columns = range(left, right)
        if any(taken[row][column] or self.below_is_drawn(row - 1, column) for column in columns):
            return False
        return not any(self.right_is_drawn(row, column) for column in range(left, right - 1))

    def _inside(self, area: Area) -> list[Piece]:
        return [
            piece
            for row in range(area.top, area.bottom)
            for piece in self.in_rows[row]
            if area.left <= self.column_of(piece.box) < area.right
        ]

    def _divided(self, area: Area) -> list[Area]:
        """A rectangle, divided into rows and columns where its text stands in several of them."""
        pieces = self._inside(area)
        rows = self._row_cuts(area, pieces)
        found: list[Area] = []
        for top, bottom in zip([area.top, *rows], [*rows, area.bottom], strict=True):
            part = Area(top, area.left, bottom, area.right)
            own = [piece for piece in pieces if top <= self.row_of(piece.box) < bottom]
            columns = self._column_cuts(part, own)
            for left, right in zip([part.left, *columns], [*columns, part.right], strict=True):
                found.append(Area(top, left, bottom, right))
        return found

    def _row_cuts(self, area: Area, pieces: list[Piece]) -> list[int]:
        """The borders of rows inside an area that part its text, all or none.

        They do where most rows of it have text of their own, level with that of their row.
        """
        rows = sorted({self.row_of(piece.box) for piece in pieces})
        count = area.bottom - area.top
        if count == 1 or len(rows) < max(2, 0.6 * count):
            return []
        over = _OVER * self.height
        for piece in pieces:
            top, bottom = piece.box[1], piece.box[3]
            for level in self.rows[area.top + 1 : area.bottom]:
                if top + over < level.at < bottom - over:
                    return []
        if not all(self._is_level(row, pieces) for row in rows):
            return []
        if area.right - area.left == 1 and self._is_paragraph(area, pieces):
            return []
        return list(range(area.top + 1, area.bottom))

    def _is_level(self, row: int, pieces: list[Piece]) -> bool:
        """Whether the pieces in a row stand level with others of that row, where there are any."""
        own = {id(piece) for piece in pieces}
        others = [
            (piece.box[1] + piece.box[3]) / 2 for piece in self.in_rows[row] if id(piece) not in own
        ]
        if not others:
            return True
        middles = [
            (piece.box[1] + piece.box[3]) / 2 for piece in pieces if self.row_of(piece.box) == row
        ]
        near = _LEVEL * self.height
        least, most = min(others) - near, max(others) + near
        return all(least <= middle <= most for middle in middles)

    def _is_paragraph(self, area: Area, pieces: list[Piece]) -> bool:
        """Whether two lines read as one: the first was full when the second began."""
        lines = sorted(pieces, key=lambda piece: piece.box[1])
        if area.bottom - area.top != 2 or len(lines) != 2:
            return False
        first, second = lines
        room = self.columns[area.right].at - self.columns[area.left].at
        word = second.words[0].box
        return (first.box[2] - first.box[0]) + (word[2] - word[0]) + self.height > room

    def _column_cuts(self, area: Area, pieces: list[Piece]) -> list[int]:
        """The borders of columns inside an area that part its text.

        Those are all where text stands in several columns and over no border; else the one that is
        nearest to the middle between each two blocks of text that stand far apart.
        """
        inner = range(area.left + 1, area.right)
        columns = {self.column_of(piece.box) for piece in pieces}
        if len(columns) < 2 or _is_spread(pieces):
            return []
        if not any(self._is_crossed(self.columns[k].at, pieces) for k in inner):
            return list(inner)
        cuts = set()
        for (_, end), (start, _) in pairwise(self._blocks(pieces)):
            between = [k for k in inner if end <= self.columns[k].at <= start]
            middle = (end + start) / 2
            if between:
                cuts.add(min(between, key=lambda k: abs(self.columns[k].at - middle)))
        return sorted(cuts)

    def _blocks(self, pieces: list[Piece]) -> list[tuple[float, float]]:
        """(start, end) of text whose pieces stand over or close beside each other."""
        blocks: list[tuple[float, float]] = []
        for start, end in sorted((piece.box[0], piece.box[2]) for piece in pieces):
            if blocks and start - blocks[-1][1] < _BLOCK_GAP * self.height:
                blocks[-1] = (blocks[-1][0], max(end, blocks[-1][1]))
            else:
                blocks.append((start, end))
        return blocks

    def _is_crossed(self, at: float, pieces: list[Piece]) -> bool:
        over = _OVER * self.height
        return any(piece.box[0] + over < at < piece.box[2] - over for piece in pieces)


def _is_spread(pieces: Sequence[Piece]) -> bool:
    """Whether letters of one word stand apart, as short heads in Chinese are set."""
    words = [word for piece in pieces for word in piece.words]
    return len({word.line for word in words}) == 1 and all(len(word.text) == 1 for word in words)
