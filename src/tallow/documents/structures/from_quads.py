"""Cells of a picture, as quadrilaterals, to rows, columns and spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.structure import Slot, Structure, tiled

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]

# Edges of one grid line differ by a pixel or two of the model's input, and cells that are smaller
# than four of these are not found. In shares of a small cell's size.
_SAME_LINE = 0.35
# A cell that lies so far in a better one is that one found twice.
_SAME_CELL = 0.5
_SLIVER = 0.3  # of the height of low rows
# Below the last row of a table detectors find half-probable cells of nothing.
_SURE = 0.6


def structure_of(quads: Any, sure: Any, source: str) -> Structure | None:
    """The grid that cells lie in; None where there are none.

    quads: corners (cells, 4, 2) in units of the page, from top left clockwise. sure: a probability
    of each. The edges of cells that lie in a line are one line of the grid; a cell spans what lies
    between its own lines; places without a cell get one.
    """
    import numpy as np

    boxes = upright(np.asarray(quads, np.float64).reshape(-1, 4, 2))
    order = np.argsort(-np.asarray(sure), kind="stable")
    kept = without_twins(boxes, order[_holds_text(boxes)[order]])
    if not len(kept):
        return None
    kept = kept[_within_sure(boxes[kept], np.asarray(sure)[kept])]
    boxes, order = boxes[kept], kept
    small = np.percentile(boxes[:, 2:] - boxes[:, :2], 10, axis=0)
    xs = grid_lines(boxes[:, [0, 2]].ravel(), _SAME_LINE * min(small[0], 2 * small[1]))
    ys = grid_lines(boxes[:, [1, 3]].ravel(), _SAME_LINE * small[1])
    columns = np.searchsorted(_between(xs), boxes[:, [0, 2]])
    rows = np.searchsorted(_between(ys), boxes[:, [1, 3]])
    slots = [
        Slot(
            int(r0),
            int(c0),
            int(max(1, r1 - r0)),
            int(max(1, c1 - c0)),
            (box[0], box[1], box[2], box[3]),
        )
        for (r0, r1), (c0, c1), box in zip(rows, columns, boxes.tolist(), strict=True)
    ]
    slots = list(tiled(len(ys) - 1, len(xs) - 1, slots))
    found = [slot for slot in slots if slot.box is not None]
    cells = tiled(len(ys) - 1, len(xs) - 1, [*found, *missed(slots, len(ys) - 1, len(xs) - 1)])
    return Structure(
        len(ys) - 1, len(xs) - 1, cells, source, float(np.asarray(sure)[order].mean()),
        row_edges=tuple(map(float, ys)), column_edges=tuple(map(float, xs)),
    )  # fmt: skip


def upright(quads: Floats) -> Floats:
    """Boxes of cells, (n, 4), a slant that they share undone: a page is straight but for a degree.

    Each edge is the middle of its two corners, so noise of corners halves.
    """
    import numpy as np

    middle = quads.reshape(-1, 2).mean(0) if len(quads) else np.zeros(2)
    points = quads - middle
    slopes = []
    for axis, (start, end) in ((1, ((0, 3), (1, 2))), (0, ((0, 1), (3, 2)))):
        along = points[:, end, 1 - axis] - points[:, start, 1 - axis]
        across = points[:, end, axis] - points[:, start, axis]
        total = np.abs(along).sum()
        slopes.append(float(across.sum() / total) if total else 0.0)
    xs = points[..., 0] - slopes[1] * points[..., 1] + middle[0]
    ys = points[..., 1] - slopes[0] * points[..., 0] + middle[1]
    left, right = xs[:, [0, 3]].mean(1), xs[:, [1, 2]].mean(1)
    top, bottom = ys[:, [0, 1]].mean(1), ys[:, [2, 3]].mean(1)
    return np.stack([left, top, right, bottom], 1)


def without_twins(boxes: Floats, order: Any) -> Any:
    """Of `order`, best first, the cells that do not lie in a better one or around it."""
    import numpy as np

    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for each in order:
        others = boxes[kept]
        low = np.maximum(others[:, :2], boxes[each, :2])
        high = np.minimum(others[:, 2:], boxes[each, 2:])
        shared = (high - low).clip(0).prod(1)
        if (shared <= _SAME_CELL * np.minimum(areas[kept], areas[each])).all():
            kept.append(int(each))
    return np.asarray(kept, np.int64)


def _holds_text(boxes: Floats) -> Any:
    """Which cells are no slivers, as beside a table's edge: a line of text fits in a low row."""
    import numpy as np

    sizes = boxes[:, 2:] - boxes[:, :2]
    tall = sizes[sizes[:, 1] > 0, 1]
    return (sizes > (_SLIVER * np.percentile(tall, 10) if len(tall) else 0)).all(1)


def _within_sure(boxes: Floats, sure: Floats) -> Any:
    """Which cells lie in rows that are about as probable as usual: a table ends with these.

    Not so of columns: those of wide cells are less probable.
    """
    import numpy as np

    good = boxes[sure >= _SURE * np.median(sure)]
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    return (good[:, 1].min() <= middles) & (middles <= good[:, 3].max())


def missed(slots: Sequence[Slot], rows: int, columns: int) -> list[Slot]:
    """Places where no cell was found, as the rectangles that they make.

    What detectors of cells miss are single large cells, not many small ones in a row.
    """
    open_places = {(slot.row, slot.column) for slot in slots if slot.box is None}
    made = []
    for row in range(rows):
        for column in range(columns):
            if (row, column) not in open_places:
                continue
            right = column
            while (row, right) in open_places:
                right += 1
            bottom = row + 1
            while all((bottom, each) in open_places for each in range(column, right)):
                bottom += 1
            open_places -= {(r, c) for r in range(row, bottom) for c in range(column, right)}
            made.append(Slot(row, column, bottom - row, right - column))
    return made


def grid_lines(edges: Floats, gap: float) -> Floats:
    """Edges on one axis, in groups that no gap wider than `gap` divides: the middle of each."""
    import numpy as np

    edges = np.sort(edges)
    cuts = np.flatnonzero(np.diff(edges) > gap) + 1
    return np.asarray([np.median(group) for group in np.split(edges, cuts)])


def _between(lines: Floats) -> Floats:
    return (lines[1:] + lines[:-1]) / 2
