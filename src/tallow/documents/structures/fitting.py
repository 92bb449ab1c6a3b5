"""Where the rows and columns of a proposal lie on the page: edges placed between the words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.documents.cells.gaps import parted
from tallow.documents.content import PageContent, Ruling, Word
from tallow.documents.geometry import Box, center, overlap
from tallow.documents.structure import Slot, Structure
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    import numpy as np

    Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
    Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_STEPS = 48  # places that are tried between the middles of two neighbouring rows or columns


_DASHES, _BARS = "-‐‑‒–—−_=~. ", "|¦ "
_INSIDE = 0.15  # of a letter's box, that a ruling must be inside of it to be what was read
_NARROW = 0.7  # of its height: a box that holds one thin letter, or dots of a line
_RULED = 3.0  # what a ruling over the whole table is worth, in words that an edge cuts


def fitted(
    structure: Structure, words: Sequence[Word], box: Box, rulings: Sequence[Ruling] = ()
) -> Structure:
    """`structure` with row and column edges, in the units of the page.

    Edges that it has are kept. Others come from the boxes of its slots, each moved to where it cuts
    the words least: models give boxes that are some pixels off, and drift over long tables. Words
    in slots that span an edge do not count at it, and an edge goes to a ruling that is near. `box`
    is the table's, for the outer edges and for what no slot says.
    """
    if structure.row_edges is not None and structure.column_edges is not None:
        return structure
    boxes = _word_boxes(words)
    owners = _owners_by_boxes(structure, boxes, box)
    columns = structure.column_edges or _edges(structure, boxes, owners, 0, box, rulings)
    rows = structure.row_edges or _edges(structure, boxes, owners, 1, box, rulings)
    placed = replace(structure, row_edges=rows, column_edges=columns)
    if not len(boxes):
        return placed
    owners = owners_in_grid(placed, boxes)
    return replace(
        placed,
        column_edges=structure.column_edges or _edges(structure, boxes, owners, 0, box, rulings),
        row_edges=structure.row_edges or _edges(structure, boxes, owners, 1, box, rulings),
    )


def words_in(content: PageContent, box: Box) -> list[Word]:
    """The words of a page whose middles lie in `box`, in pieces where their ink has wide gaps.

    A dash that a reader saw in a ruling is no word.
    """
    # Each proposal asks for the same words: they are kept with the page until it changes.
    kept: dict[Box, tuple[list[Word], list[Ruling], list[Word]]]
    kept = content.kept.setdefault("words_in", {})
    found = kept.get(box)
    if found is None or found[0] != content.words or found[1] != content.rulings:
        found = [*content.words], [*content.rulings], _words_in(content, box)
        kept[box] = found
    return [*found[2]]


def _words_in(content: PageContent, box: Box) -> list[Word]:
    left, top, right, bottom = box
    if content.source == "picture":  # what a reader sees beyond the page is its edge
        left, top = max(left, 0.0), max(top, 0.0)
        right, bottom = min(right, content.width), min(bottom, content.height)
    inside = []
    for word in content.words:
        x, y = center(word.box)
        if left <= x <= right and top <= y <= bottom and word.text.strip():
            inside.append(word)
    return [word for word in parted(content, inside) if not _drawn(word, content.rulings)]


def _drawn(word: Word, rulings: Sequence[Ruling]) -> bool:
    """Whether a word of dashes or bars is a part of a ruling that goes on beyond it."""
    across = not word.text.strip(_DASHES)
    if _is_of_ruling(word, rulings):
        return True
    if not across and word.text.strip(_BARS):
        return False
    start, end = (word.box[0], word.box[2]) if across else (word.box[1], word.box[3])
    low, high = (word.box[1], word.box[3]) if across else (word.box[0], word.box[2])
    return any(
        ruling.horizontal == across
        and low <= ruling.at <= high
        and ruling.end - ruling.start > 2 * (end - start)
        and overlap((ruling.start, ruling.end), (start, end)) > 0.5 * (end - start)
        for ruling in rulings
    )


def _is_of_ruling(word: Word, rulings: Sequence[Ruling]) -> bool:
    """Whether what a reader saw is a piece of an upright ruling, or where one meets another.

    Nothing else stands in a narrow box that one runs through; one or two letters in a wider box
    with a level one, too, are a T, F or 7 that only the rulings make.
    """
    if word.confidence >= 1.0:
        return False
    left, top, right, bottom = (max(value, 0.0) for value in word.box)  # as far as it is seen
    width, height = right - left, bottom - top
    upright = any(
        not each.horizontal
        and left + _INSIDE * width < each.at < right - _INSIDE * width
        and each.end - each.start > 2 * height
        and overlap((each.start, each.end), (top, bottom)) > 0.7 * height
        for each in rulings
    )
    if not upright or width <= _NARROW * height:
        return upright
    return len(word.text.strip()) <= 2 and any(
        each.horizontal
        and top - _INSIDE * height <= each.at <= bottom + _INSIDE * height
        and each.end - each.start > 2 * width
        and overlap((each.start, each.end), (left, right)) > 0.3 * width
        for each in rulings
    )


def rulings_in(content: PageContent, box: Box) -> list[Ruling]:
    """The rulings of a page that lie in `box`, cut at its edges."""
    left, top, right, bottom = box
    inside = []
    for ruling in content.rulings:
        low, high = (top, bottom) if ruling.horizontal else (left, right)
        start, end = (left, right) if ruling.horizontal else (top, bottom)
        start, end = max(start, ruling.start), min(end, ruling.end)
        if low <= ruling.at <= high and end > start:
            inside.append(replace(ruling, start=start, end=end))
    return inside


def slot_boxes(structure: Structure) -> Floats:
    """The boxes of the slots by the edges of their rows and columns, (slots, 4)."""
    import numpy as np

    assert structure.row_edges is not None and structure.column_edges is not None
    x, y = structure.column_edges, structure.row_edges
    return np.array(
        [(x[s.column], y[s.row], x[s.right], y[s.bottom]) for s in structure.slots], float
    ).reshape(-1, 4)


def shared_areas(boxes: Floats, slots: Floats) -> Floats:
    """What each box shares with each slot, (boxes, slots), in square units."""
    import numpy as np

    low = np.maximum(boxes[:, None, :2], slots[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], slots[None, :, 2:])
    return np.clip(high - low, 0, None).prod(-1)  # type: ignore[no-any-return]


def owners_in_grid(structure: Structure, boxes: Floats) -> Integers:
    """The slot, by number, that holds most of each box; the nearest of a box that none holds."""
    import numpy as np

    slots = slot_boxes(structure)
    shared = shared_areas(boxes, slots)
    best = shared.argmax(1)
    outside = shared.max(1) <= 0
    if outside.any():
        middles = (boxes[outside, :2] + boxes[outside, 2:]) / 2
        away = np.maximum(slots[None, :, :2] - middles[:, None], middles[:, None] - slots[:, 2:])
        best[outside] = np.hypot(*np.clip(away, 0, None).transpose(2, 0, 1)).argmin(1)
    return np.asarray(best, np.int64)


def _word_boxes(words: Sequence[Word]) -> Floats:
    import numpy as np

    return np.array([word.box for word in words], float).reshape(-1, 4)


def _owners_by_boxes(structure: Structure, boxes: Floats, box: Box) -> Integers:
    """The slot of each word by the slots' own boxes: that which shares most, or the nearest."""
    import numpy as np

    own = [(number, slot.box) for number, slot in enumerate(structure.slots) if slot.box]
    if not own or not len(boxes):
        return np.full(len(boxes), -1)
    numbers = np.array([number for number, _ in own])
    slots = np.array([each for _, each in own], float)
    shared = shared_areas(boxes, slots)
    middles, places = (boxes[:, :2] + boxes[:, 2:]) / 2, (slots[:, :2] + slots[:, 2:]) / 2
    size = np.array([box[2] - box[0], box[3] - box[1]]) + 1e-9
    # Of no slot that it meets: the nearest middle, along y first, as words leave cells sidewards.
    away = np.abs(middles[:, None] - places[None]) / size * np.array([1, structure.rows])
    nearest = away.sum(-1).argmin(1)
    return np.asarray(numbers[np.where(shared.max(1) > 0, shared.argmax(1), nearest)], np.int64)


def _edges(
    structure: Structure,
    boxes: Floats,
    owners: Integers,
    axis: int,
    box: Box,
    rulings: Sequence[Ruling],
) -> tuple[float, ...]:
    """Edges along an axis (0: of columns, 1: of rows), outer ones first and last."""
    import numpy as np

    count = structure.rows if axis else structure.columns
    low, high = _extents(structure, axis, (box[axis], box[axis + 2]))
    middles = np.maximum.accumulate((low + high) / 2)
    first, last = _ranges(structure.slots, axis)
    whole = max(box[3 - axis] - box[1 - axis], 1e-9)
    lines = [(r.at, (r.end - r.start) / whole) for r in rulings if r.horizontal == bool(axis)]
    gaps = narrow_gaps(boxes) if axis == 0 else boxes[:0, :3]
    outer = _outer(boxes, axis, box, [line[0] for line in lines])
    edges = [min(outer[0], float(middles[0]))]
    for index in range(1, count):
        inside = (
            np.ones(0, bool)
            if not len(boxes)
            else ~((first[owners] < index) & (index < last[owners]) & (owners >= 0))
        )
        guess = (high[index - 1] + low[index]) / 2
        span = (float(middles[index - 1]), float(middles[index]))
        at = _best_place(boxes[inside], axis, span, float(guess), lines, gaps)
        edges.append(max(edges[-1], at))
    edges.append(max(edges[-1], outer[1], float(middles[-1])))
    return tuple(edges)


def _outer(boxes: Floats, axis: int, box: Box, lines: Sequence[float]) -> tuple[float, float]:
    """Where a table begins and ends: at the rulings around its words, else a little beyond."""
    import numpy as np

    if not len(boxes):
        return box[axis], box[axis + 2]
    em = float(np.median(boxes[:, 3] - boxes[:, 1]))
    begin, end = float(boxes[:, axis].min()), float(boxes[:, axis + 2].max())
    before = [at for at in lines if at < begin + 0.3 * em]
    after = [at for at in lines if at > end - 0.3 * em]
    low = max(before) if before else max(min(box[axis], begin), begin - 0.5 * em)
    high = min(after) if after else min(max(box[axis + 2], end), end + 0.5 * em)
    return low, high


def _ranges(slots: Sequence[Slot], axis: int) -> tuple[Integers, Integers]:
    import numpy as np

    pairs = [(s.row, s.bottom) if axis else (s.column, s.right) for s in slots]
    first, last = np.array(pairs, int).reshape(-1, 2).T
    return first, last


def _extents(structure: Structure, axis: int, outer: tuple[float, float]) -> tuple[Floats, Floats]:
    """Where each row or column begins and ends, by the middle one of its slots' boxes."""
    import numpy as np

    count = structure.rows if axis else structure.columns
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    spans = [
        (*((s.row, s.bottom) if axis else (s.column, s.right)), s.box[axis], s.box[axis + 2])
        for s in structure.slots
        if s.box is not None
    ]
    for index in range(count):
        single = [each for each in spans if each[:2] == (index, index + 1)]
        begins = [each[2] for each in single or spans if each[0] == index]
        ends = [each[3] for each in single or spans if each[1] == index + 1]
        if begins:
            low[index] = np.median(begins)
        if ends:
            high[index] = np.median(ends)
    grid = np.linspace(outer[0], outer[1], count + 1)
    places = np.arange(count)
    for values, spare in ((low, grid[:-1]), (high, grid[1:])):
        known = ~np.isnan(values)
        if known.sum() >= 2:
            values[~known] = np.interp(places[~known], places[known], values[known])
        else:
            values[:] = spare
    return np.minimum(low, high), np.maximum(low, high)


def narrow_gaps(boxes: Floats) -> Floats:
    """Gaps between words of a line that are no wider than its text is high, (gaps, 3).

    Each as where it begins, where it ends, and what parting its words costs: from 0 of a gap as
    wide as the text is high, to 0.8 of a word that is cut.
    """
    import numpy as np

    found = []
    em = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-9)
    for number, box in enumerate(boxes):
        low, high = np.maximum(boxes[:, 1], box[1]), np.minimum(boxes[:, 3], box[3])
        beside = (high - low > 0.5 * np.minimum(em, em[number])) & (boxes[:, 0] >= box[2])
        gap = np.where(beside, boxes[:, 0] - box[2], np.inf).min(initial=np.inf)
        if gap < em[number]:
            found.append((box[2], box[2] + gap, 0.8 * (1 - gap / em[number])))
    return np.array(found, float).reshape(-1, 3)


def _best_place(
    boxes: Floats,
    axis: int,
    span: tuple[float, float],
    guess: float,
    lines: Sequence[tuple[float, float]],
    gaps: Floats,
) -> float:
    """The place in `span` that cuts the boxes least, the middle of its gap; nearest to `guess`.

    `lines` are rulings: where each is, and over how much of the table it goes. `gaps` are those
    between words that belong together: begin, end, and how much it costs to part them.
    """
    import numpy as np

    if span[1] <= span[0]:
        return span[0]
    lines = [line for line in lines if span[0] < line[0] < span[1]]
    at = np.append(np.linspace(span[0], span[1], _STEPS + 1), [line[0] for line in lines])
    low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
    tall = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-9)[:, None]
    depth = np.clip(np.minimum(at - low, high - at) / tall, 0, 1)
    cut = depth.sum(0)
    cut += (gaps[:, 2, None] * ((at >= gaps[:, 0, None]) & (at <= gaps[:, 1, None]))).sum(0)
    # Among like places the one by the guess: half a unit of cutting for the whole way to a middle.
    cost = cut + 0.5 * np.abs(at - guess) / (span[1] - span[0])
    cost[_STEPS + 1 :] -= [_RULED * min(1.0, line[1]) for line in lines]
    best = int(cost.argmin())
    if best > _STEPS:
        return float(at[best])
    free = cut <= cut[best] + 0.02
    left = right = best
    while left > 0 and free[left - 1]:
        left -= 1
    while right < _STEPS and free[right + 1]:
        right += 1
    return float((at[left] + at[right]) / 2)
