"""Where tables are on a page of known words and rulings: grids, stacked rules, aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tallow.documents.content import PageContent, Ruling, Word
from tallow.documents.geometry import Box, area, intersection, share_inside, union
from tallow.documents.pdf.tabular import apart, is_tabular
from tallow.documents.steps import Region
from tallow.documents.structures.lines import Line, lines_of, text_height
from tallow.documents.structures.ruled import edges_of_fills
from tallow.documents.turning import main_turn, turned, turned_box

_MOST_RULINGS = 5_000
_MOST_WORDS = 50_000
_STRIPES_APART = 2.0  # heights of a stripe

# Of the height of text.
_TOUCH = 0.4  # rulings nearer than that are of one grid
_SAME_ENDS = 2.0  # ends of stacked rules that belong together
_NEXT_LINE = 1.3  # white space between a table and a line that belongs to it
_BESIDE = 3.0  # white space between a grid and the labels left of it
_BREAK = 2.5  # white space that parts aligned text


def detect(content: PageContent) -> list[Region]:
    """The tables of a page, in order of reading; none where its text is no table.

    For text layers and pictures alike, as only words, rulings and fills are looked at. A page whose
    text is turned is looked at upright; its regions are in the coordinates of the page.
    """
    turn = -main_turn(content.words) % 360
    upright = turned(content, turn)
    boxes = _Page(upright).tables()
    width, height, back = upright.width, upright.height, -turn % 360
    return [
        Region(turned_box(box, back, width, height), score, source=source)
        for box, score, source in boxes
    ]


class _Page:
    """An upright page and what of it is taken by tables already."""

    def __init__(self, content: PageContent) -> None:
        self.words = [word for word in content.words if word.turn == 0][:_MOST_WORDS]
        self.height = text_height(self.words)
        self.lines = lines_of(self.words, self.height) if self.words else []
        page = (0.0, 0.0, content.width, content.height)
        rulings = content.rulings[:_MOST_RULINGS]
        fills = edges_of_fills(content.fills[:_MOST_RULINGS], page, self.height)
        self.rulings = rulings
        self.borders = [*rulings, *fills][: 2 * _MOST_RULINGS]
        self.borders += _between_stripes([each.box for each in content.fills[:_MOST_RULINGS]])
        self.found: list[tuple[Box, float, str]] = []

    def tables(self) -> list[tuple[Box, float, str]]:
        """(box, score, source) from the top down."""
        for box in self._grids():
            self._add(box, 0.95, "grid")
        for box in self._stacks():
            self._add(box, 0.85, "rules")
        for box in self._aligned():
            self._add(box, 0.6, "white space")
        return sorted(self.found, key=lambda each: (each[0][1], each[0][0]))

    def _add(self, box: Box, score: float, source: str) -> None:
        """Add a table unless one that was found lies there; those that it holds are of it."""
        for other, _, _ in self.found:
            if area(intersection(box, other)) > 0.3 * min(area(box), area(other)):
                return
        self.found.append((box, score, source))

    def words_in(self, box: Box) -> list[Word]:
        """The words whose middles lie in a box."""
        return [
            word
            for word in self.words
            if box[0] <= (word.box[0] + word.box[2]) / 2 <= box[2]
            and box[1] <= (word.box[1] + word.box[3]) / 2 <= box[3]
        ]

    def lines_in(self, box: Box) -> list[Line]:
        """The lines of the words in a box."""
        words = self.words_in(box)
        return lines_of(words, self.height) if words else []

    def _grids(self) -> list[Box]:
        """Boxes around rulings that touch each other in both directions, with cells of text."""
        found = []
        for group in _touching(self.borders, _TOUCH * self.height):
            across = sum(each.horizontal for each in group)
            if across < 2 or len(group) - across < 1 or len(group) < 4:
                continue
            box = union(_box(each) for each in group)
            small = min(box[2] - box[0], box[3] - box[1]) < 2 * self.height
            if small or not self._has_cells(group, box):
                continue
            found.append(self._grown(box))
        return sorted(found, key=area, reverse=True)

    def _has_cells(self, group: Sequence[Ruling], box: Box) -> bool:
        """Whether words stand in at least two cells beside each other, and two above each other.

        So a frame around text is no table.
        """
        words = self.words_in(box)
        near = 0.5 * self.height
        xs = sorted(
            r.at for r in group if not r.horizontal and box[0] + near < r.at < box[2] - near
        )
        ys = sorted(r.at for r in group if r.horizontal and box[1] + near < r.at < box[3] - near)
        places = {
            (
                sum(x < (word.box[0] + word.box[2]) / 2 for x in xs),
                sum(y < (word.box[1] + word.box[3]) / 2 for y in ys),
            )
            for word in words
        }
        lines = self.lines_in(box)
        if xs and ys:
            return len({x for x, _ in places}) > 1 and len({y for _, y in places}) > 1
        return bool(lines) and is_tabular(lines, self.height, box)

    def _stacks(self) -> list[Box]:
        """Boxes between horizontal rules of one width that stand above each other."""
        rules = [each for each in self.rulings if each.horizontal]
        rules = [each for each in rules if each.end - each.start > 6 * self.height]
        found = []
        for stack in _stacked(rules, _SAME_ENDS * self.height):
            zones = [self._zone(upper, lower) for upper, lower in pairwise(stack)]
            start = 0
            while start < len(zones):
                stop = start
                while stop < len(zones) and zones[stop]:
                    stop += 1
                if stop > start:
                    found.append(self._of_rules(stack[start : stop + 1]))
                start = stop + 1
        return [box for box in found if box is not None]

    def _zone(self, upper: Ruling, lower: Ruling) -> bool:
        """Whether what stands between two rules may be of a table."""
        box = (min(upper.start, lower.start), upper.at, max(upper.end, lower.end), lower.at)
        lines = self.lines_in(box)
        if not lines:
            return lower.at - upper.at < 2 * self.height
        if len(lines) <= 4 and max(len(line.pieces) for line in lines) > 1:
            return lower.at - upper.at < 3 * self.height * len(lines)
        return is_tabular(lines, self.height, box)

    def _of_rules(self, rules: Sequence[Ruling]) -> Box | None:
        box = union(_box(each) for each in rules)
        lines = self.lines_in(box)
        if len(lines) < 2 or not is_tabular(lines, self.height, box):
            return None
        return self._grown(box)

    def _aligned(self) -> list[Box]:
        """Boxes of text that stands in columns without rules."""
        taken = [box for box, _, _ in self.found]
        words = [
            word
            for word in self.words
            if not any(share_inside(word.box, box) > 0.5 for box in taken)
        ]
        lines = lines_of(words, self.height) if words else []
        found = []
        for run in _runs(lines, self.height):
            if len(run) < 3:
                continue
            box = union(piece.box for line in run for piece in line.pieces)
            if is_tabular(run, self.height, box, strict=True):
                found.append(box)
        return found

    def _grown(self, box: Box) -> Box:
        """A box with the labels left of its rows, and heads above it, that no rule encloses."""
        lines = [line for line in self.lines if box[1] <= line.middle <= box[3]]
        beside = []
        for line in lines:
            outside = [p.box for p in line.pieces if p.box[2] <= box[0] + 0.5 * self.height]
            if outside and box[0] - outside[-1][2] < _BESIDE * self.height:
                beside.append(outside[-1])
        if (
            len(beside) >= 0.5 * len(lines)
            and len(lines) > 2
            and not _is_prose(beside, self.height)
        ):
            left = min(each[0] for each in beside)
            box = (min(left, box[0]), box[1], box[2], box[3])
        return self._with_heads(self._with_last(box))

    def _with_last(self, box: Box) -> Box:
        """A box with the line just below it, where no rule ends it: the last of striped rows."""
        near = 0.5 * self.height
        ruled = [r for r in self.rulings if r.horizontal and abs(r.at - box[3]) < near]
        below = [
            line
            for line in self.lines
            if line.middle > box[3] and line.top - box[3] < 0.8 * self.height
        ]
        if not below or sum(r.end - r.start for r in ruled) > 0.5 * (box[2] - box[0]):
            return box
        blocks = [
            each for each in apart(below[0], self.height) if box[0] <= sum(each) / 2 <= box[2]
        ]
        if len(blocks) < 2:
            return box
        return box[0], box[1], box[2], below[0].bottom

    def _with_heads(self, box: Box) -> Box:
        """A box with the lines just above it that have text in several of its columns."""
        for _ in range(5):
            above = [
                line
                for line in self.lines
                if line.middle < box[1] and box[1] - line.bottom < _NEXT_LINE * self.height
            ]
            if not above:
                break
            line = above[-1]
            blocks = [
                each for each in apart(line, self.height) if box[0] <= sum(each) / 2 <= box[2]
            ]
            wide = max((end - start for start, end in blocks), default=0.0)
            alone = len(blocks) == 1 and not _heads_more(line, self.lines, box, self.height)
            if not blocks or alone or wide > 0.5 * (box[2] - box[0]):
                break
            top = min(p.box[1] for p in line.pieces)
            box = (box[0], min(box[1], top), box[2], box[3])
        return box


def _heads_more(line: Line, lines: Sequence[Line], box: Box, height: float) -> bool:
    """Whether a line of one piece is followed by lines of more, so that it is of their header."""
    below = [
        other
        for other in lines
        if line.middle < other.middle < box[1] and len(apart(other, height)) > 1
    ]
    return bool(below)


def _box(ruling: Ruling) -> Box:
    if ruling.horizontal:
        return ruling.start, ruling.at, ruling.end, ruling.at
    return ruling.at, ruling.start, ruling.at, ruling.end


def _between_stripes(boxes: Sequence[Box]) -> list[Ruling]:
    """Lines that join filled rows of one width, between which rows are not filled."""
    links = []
    stripes = sorted(boxes, key=lambda box: (round(box[0]), round(box[2]), box[1]))
    for upper, lower in pairwise(stripes):
        near = 0.2 * (upper[3] - upper[1])
        same = abs(upper[0] - lower[0]) < near and abs(upper[2] - lower[2]) < near
        tall = max(upper[3] - upper[1], lower[3] - lower[1])
        if same and 0 <= lower[1] - upper[3] < _STRIPES_APART * tall:
            links.append(Ruling(False, upper[0], upper[3], lower[1]))
    return links


def _is_prose(boxes: Sequence[Box], height: float) -> bool:
    """Whether pieces are long and of one length, as lines of running text are."""
    widths = [box[2] - box[0] for box in boxes]
    long = median(widths) > 18 * height
    even = sum(width > 0.9 * max(widths) for width in widths) > 0.6 * len(widths)
    return long or (even and median(widths) > 10 * height)


def _touching(rulings: Sequence[Ruling], near: float) -> list[list[Ruling]]:
    """Rulings in groups that touch or cross, directly or by others."""
    import numpy as np

    count = len(rulings)
    if not count:
        return []
    boxes = np.array([_box(each) for each in rulings], dtype=np.float64)
    group = np.arange(count)
    for index in range(count):
        left, top, right, bottom = boxes[index]
        meets = (boxes[:, 0] <= right + near) & (boxes[:, 2] >= left - near)
        meets &= (boxes[:, 1] <= bottom + near) & (boxes[:, 3] >= top - near)
        joined = np.unique(group[meets])
        group[np.isin(group, joined)] = joined[0]
    groups: dict[int, list[Ruling]] = {}
    for index, each in enumerate(rulings):
        groups.setdefault(int(group[index]), []).append(each)
    return list(groups.values())


def _stacked(rules: Sequence[Ruling], near: float) -> list[list[Ruling]]:
    """Rules in stacks whose ends agree, from the top down."""
    stacks: list[list[Ruling]] = []
    for rule in sorted(rules, key=lambda each: each.at):
        for stack in stacks:
            if abs(stack[0].start - rule.start) < near and abs(stack[0].end - rule.end) < near:
                stack.append(rule)
                break
        else:
            stacks.append([rule])
    return [stack for stack in stacks if len(stack) > 1]


def _runs(lines: Sequence[Line], height: float) -> list[list[Line]]:
    """Lines in runs that white space, or two lines of one piece, part; each of several pieces."""
    runs: list[list[Line]] = [[]]
    alone = 0
    for line in lines:
        far = bool(runs[-1]) and line.top - runs[-1][-1].bottom > _BREAK * height
        several = len(apart(line, height)) > 1
        alone = 0 if several else alone + 1
        if far or alone > 1:
            runs.append([])
        if several or (runs[-1] and alone == 1):
            runs[-1].append(line)
    return [_trimmed(run, height) for run in runs]


def _trimmed(run: list[Line], height: float) -> list[Line]:
    while run and len(apart(run[-1], height)) == 1:
        run = run[:-1]
    return run
