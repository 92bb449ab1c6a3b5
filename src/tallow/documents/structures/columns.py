"""Columns of lines of text: white gaps that most lines have, whatever a few pieces cross."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from tallow.documents.structures.lines import Line, Piece

_WIDE = 0.6  # of the region: titles, sections and notes alone in a line say nothing of columns
_ALONE = 0.34  # what a line of one piece counts
_VALLEY = 0.3  # of the lower of two columns' lines, that may cross the gap between them
_FEW = 0.15  # of all lines, that a title over columns stands in
_APART = 2.0  # of the height of text: pieces are cells of their own, farther apart in a column
_SAME_START = 0.4  # of the height of text
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
    edges = _with_second_labels(_without_heads(edges, lines, cuts), lines, height)
    return _without_marks(edges, lines, cuts)


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


def _coverage(spans: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """(start, end, weight) of stretches between ends of spans: how much covers each."""
    changes: dict[float, float] = {}
    for start, end, weight in spans:
        changes[start] = changes.get(start, 0.0) + weight
        changes[end] = changes.get(end, 0.0) - weight
    steps, cover = [], 0.0
    for start, end in pairwise(sorted(changes)):
        cover += changes[start]
        steps.append((start, end, round(cover, 6)))
    return steps


def _valleys(spans: list[tuple[float, float, float]], height: float) -> list[float]:
    """The middles of the gaps between hills of coverage."""
    steps = _coverage(spans)
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
    """(peak, start, end) of the highest stretches of coverage, each between two falls.

    A fall that is narrow, and not to nothing, is none.
    """
    hills: list[tuple[float, float, float]] = []
    low = float("inf")  # of the coverage since the last hill
    for start, end, cover in steps:
        peak = hills[-1][0] if hills else -1.0
        if not hills or (cover > low and low < peak):
            hills.append((cover, start, end))
            low = cover
        elif cover > peak:
            hills[-1] = (cover, start, end)
            low = cover
        elif cover == peak and low >= peak:
            hills[-1] = (peak, hills[-1][1], end)
        elif cover == 0 or end - start >= _NARROWEST * height:
            low = min(low, cover)
    return hills


def _between(
    hills: list[tuple[float, float, float]], steps: list[tuple[float, float, float]]
) -> list[tuple[float, float, float]]:
    """(start, end, coverage) of the lowest place between each two hills, the widest of these."""
    valleys = []
    for left, right in pairwise(hills):
        low, high = left[2] - 1e-6, right[1] + 1e-6
        inside = [step for step in steps if low <= step[0] and step[1] <= high]
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
            columns[bisect_right(edges, middle, 1, len(edges) - 1) - 1].append((number, piece))
    return columns


def _with_second_labels(edges: list[float], lines: Sequence[Line], height: float) -> list[float]:
    """Edges with those before labels that stand apart behind others in few lines of a column.

    Two lines at least must have one at that place, and one of them another before it.
    """
    added: list[float] = []
    for (left, right), members in zip(pairwise(edges), _in_columns(edges, lines), strict=True):
        by_line: dict[int, list[Piece]] = {}
        for number, piece in members:
            by_line.setdefault(number, []).append(piece)
        seconds = [
            (a.box[2], b.box[0])
            for pieces in by_line.values()
            for a, b in pairwise(pieces)
            if b.box[0] - a.box[2] > _APART * height
        ]
        for end, start in seconds:
            level = [p for _, p in members if abs(p.box[0] - start) < _SAME_START * height]
            before = max(e for e, s in seconds if abs(s - start) < _SAME_START * height)
            edge = (before + start) / 2
            near = any(abs(edge - other) < height for other in (*added, left, right))
            if len(level) > 1 and end < start and not near:
                added.append(edge)
    return sorted([*edges, *added])


def _without_heads(edges: list[float], lines: Sequence[Line], cuts: Sequence[float]) -> list[float]:
    """Edges without those around a title that stands in the gap of the two columns it heads.

    Its lines have text in neither, and it is in few lines.
    """
    index = 1
    columns = _in_columns(edges, lines)
    while index < len(edges) - 2:
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
            columns = _in_columns(edges, lines)
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
