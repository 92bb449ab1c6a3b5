"""Columns of lines of text: white gaps that most lines have, whatever a few pieces cross."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tallow.documents.structures.lines import Line, Piece

_WIDE = 0.6  # of the region: titles, sections and notes alone in a line say nothing of columns
_ALONE = 0.34  # what a line of one piece counts
_VALLEY = 0.3  # of the lower of two columns' lines, that may cross the gap between them
_FEW = 0.15  # of all lines, that a title over columns stands in
_NARROWEST = 0.25  # of the height of text: a gap
_MARKS = re.compile(r"[$€£¥%•·▪◦*†‡±~<>≤≥(\[]+|US\$|\)")
_LEADING = re.compile(r"[$€£¥•·▪◦±~<>≤≥(\[]+|US\$")


def column_edges(
    lines: Sequence[Line], height: float, left: float, right: float, cuts: Sequence[float] = ()
) -> list[float]:
    """Where columns begin and end, `left` and `right` included; `cuts` are known borders.

    How many lines cover each place gives hills and valleys; a valley parts two columns when few of
    the lines of the lower one cross it. So a gap need not be white from top to bottom.
    """
    spans = _spans(lines, right - left)
    if not spans:
        return [left, *(cut for cut in cuts if left < cut < right), right]
    borders = [left, *sorted(cut for cut in cuts if left < cut < right), right]
    edges = [left]
    for start, end in pairwise(borders):
        edges += [*_valleys(_clipped(spans, start, end), height), end]
    return _without_marks(_without_heads(edges, lines, cuts), lines, cuts)


def _spans(lines: Sequence[Line], width: float) -> list[tuple[float, float, float]]:
    """(start, end, weight) of pieces that tell of columns."""
    found = []
    for line in lines:
        alone = len(line.pieces) == 1
        boxes = [piece.box for piece in line.pieces]
        if not (alone and boxes[0][2] - boxes[0][0] > _WIDE * width):
            found += [(a, c, _ALONE if alone else 1.0) for a, _, c, _ in boxes]
    return found


def _clipped(
    spans: list[tuple[float, float, float]], start: float, end: float
) -> list[tuple[float, float, float]]:
    return [
        (max(a, start), min(b, end), weight)
        for a, b, weight in spans
        if min(b, end) - max(a, start) > 0.5 * (b - a)
    ]


def _valleys(spans: list[tuple[float, float, float]], height: float) -> list[float]:
    """The middles of the gaps between hills of coverage."""
    places = sorted({x for span in spans for x in span[:2]})
    steps = []  # (start, end, how much covers it)
    for start, end in pairwise(places):
        middle = (start + end) / 2
        steps.append((start, end, sum(weight for a, b, weight in spans if a < middle < b)))
    hills = _hills(steps, height)
    while len(hills) > 1:
        ratios = [
            valley[2] / max(min(hills[i][0], hills[i + 1][0]), 1e-9)
            for i, valley in enumerate(_between(hills, steps))
        ]
        worst = max(range(len(ratios)), key=ratios.__getitem__)
        if ratios[worst] <= _VALLEY:
            break
        first, second = hills[worst], hills.pop(worst + 1)
        hills[worst] = (max(first[0], second[0]), first[1], second[2])
    return [(start + end) / 2 for start, end, _ in _between(hills, steps)]


def _hills(
    steps: list[tuple[float, float, float]], height: float
) -> list[tuple[float, float, float]]:
    """(peak, start, end) of each rise of coverage, parted by falls that are wide enough."""
    hills: list[tuple[float, float, float]] = []
    rising = True
    low = 0.0
    for start, end, cover in steps:
        narrow = end - start < _NARROWEST * height
        if not hills:
            hills.append((cover, start, end))
            low = cover
        elif cover < low:
            if not narrow or cover > 0:
                rising, low = False, cover
        elif not rising and cover > low:
            hills.append((cover, start, end))
            rising, low = True, cover
        else:
            low = max(low, cover) if rising else low
        if rising and cover >= 0 and hills:
            peak, begin, stop = hills[-1]
            if cover > peak:
                hills[-1] = (cover, begin, end)
            elif cover == peak:
                hills[-1] = (peak, begin, max(stop, end))
            low = cover
    return hills


def _between(
    hills: list[tuple[float, float, float]], steps: list[tuple[float, float, float]]
) -> list[tuple[float, float, float]]:
    """(start, end, coverage) of the lowest place between each two hills, the widest of these."""
    valleys = []
    for left, right in pairwise(hills):
        inside = [step for step in steps if step[0] >= left[1] and step[1] <= right[2]]
        inside = [step for step in inside if step[0] >= left[2] - 1e-6 and step[1] <= right[1] + 1e-6] or inside  # fmt: skip  # noqa: E501
        lowest = min(step[2] for step in inside)
        runs: list[list[float]] = []
        for start, end, cover in inside:
            if cover > lowest + 1e-9:
                continue
            if runs and abs(runs[-1][1] - start) < 1e-6:
                runs[-1][1] = end
            else:
                runs.append([start, end])
        start, end = max(runs, key=lambda run: run[1] - run[0])
        valleys.append((start, end, lowest))
    return valleys


def _in_columns(edges: Sequence[float], lines: Sequence[Line]) -> list[list[tuple[int, Piece]]]:
    """The pieces of each column, with the numbers of their lines."""
    columns: list[list[tuple[int, Piece]]] = [[] for _ in edges[1:]]
    for number, line in enumerate(lines):
        for piece in line.pieces:
            middle = (piece.box[0] + piece.box[2]) / 2
            columns[sum(edge <= middle for edge in edges[1:-1])].append((number, piece))
    return columns


def _without_heads(edges: list[float], lines: Sequence[Line], cuts: Sequence[float]) -> list[float]:
    """Edges without those around a title that stands in the gap of the two columns it heads.

    Its lines have text in neither, and it is in few lines.
    """
    index = 1
    while index < len(edges) - 2:
        columns = _in_columns(edges, lines)
        before, own, after = (
            {number for number, _ in columns[k]} for k in (index - 1, index, index + 1)
        )
        few = len(own) <= max(1, _FEW * len(lines))
        heads = own and few and not own & (before | after)
        if (
            heads
            and 2 * len(own) <= min(len(before), len(after))
            and not ({edges[index], edges[index + 1]} & set(cuts))
        ):
            left = [piece.box[2] for _, piece in columns[index - 1]]
            right = [piece.box[0] for _, piece in columns[index + 1]]
            middle = (min(max(left), edges[index]) + max(min(right), edges[index + 1])) / 2
            edges = [*edges[:index], middle, *edges[index + 2 :]]
        else:
            index += 1
    return edges


def _without_marks(edges: list[float], lines: Sequence[Line], cuts: Sequence[float]) -> list[float]:
    """Edges without those that part signs such as $, %, ± and bullets from what they belong to."""
    while len(edges) > 3:
        columns = [[piece for _, piece in each] for each in _in_columns(edges, lines)]
        for index, pieces in enumerate(columns):
            if not pieces or not all(_MARKS.fullmatch(piece.text) for piece in pieces):
                continue
            leads = all(_LEADING.fullmatch(piece.text) for piece in pieces)
            gone = index + 1 if (leads and index + 1 < len(columns)) or index == 0 else index
            if edges[gone] not in cuts:
                edges = edges[:gone] + edges[gone + 1 :]
                break
        else:
            return edges
    return edges
