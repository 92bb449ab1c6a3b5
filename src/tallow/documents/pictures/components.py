"""Connected areas of a mask, labelled in numpy by runs of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Components:
    """The areas of a mask whose pixels touch, at corners too.

    The mask is kept as runs, in order of rows, then columns: run `i` is `row[i]`, from `start[i]`
    to before `end[i]`, and belongs to area `label[i]`, which are numbered from 0 in order of their
    first pixels. `boxes` are (count, 4): left, top, right, bottom, the last two exclusive;
    `areas` are numbers of pixels.
    """

    row: Integers
    start: Integers
    end: Integers
    label: Integers
    boxes: Integers
    areas: Integers
    shape: tuple[int, int]

    @property
    def count(self) -> int:
        """How many areas there are."""
        return len(self.areas)

    def image(self) -> Integers:
        """(height, width): the number of each pixel's area, -1 outside of them."""
        import numpy as np

        steps = np.zeros(self.shape[0] * self.shape[1] + 1, np.int64)
        first = self.row * self.shape[1] + self.start
        last = self.row * self.shape[1] + self.end
        np.add.at(steps, first, self.label + 1)
        np.add.at(steps, last, -(self.label + 1))
        return steps[:-1].cumsum().reshape(self.shape) - 1

    def mask(self, which: Mask) -> Mask:
        """(height, width): the pixels of the areas that `which` (count,) says."""
        import numpy as np

        kept = which[self.label]
        steps = np.zeros(self.shape[0] * self.shape[1] + 1, np.int8)
        np.add.at(steps, self.row[kept] * self.shape[1] + self.start[kept], 1)
        np.add.at(steps, self.row[kept] * self.shape[1] + self.end[kept], -1)
        return steps[:-1].cumsum(dtype=np.int8).reshape(self.shape).astype(bool)


def components(mask: Mask) -> Components:
    """The connected areas of a mask, (height, width); pixels touch at corners too."""
    import numpy as np

    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    row, start = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]
    above, below = _touching(row, start, end, width)
    root = _joined(len(row), above, below)
    _, label = np.unique(root, return_inverse=True)
    label = label.reshape(-1).astype(np.int64)
    count = int(label.max()) + 1 if len(label) else 0
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = max(height, width), 0
    np.minimum.at(boxes[:, 0], label, start)
    np.minimum.at(boxes[:, 1], label, row)
    np.maximum.at(boxes[:, 2], label, end)
    np.maximum.at(boxes[:, 3], label, row + 1)
    areas = np.bincount(label, end - start, count).astype(np.int64)
    return Components(row, start, end, label, boxes, areas, (height, width))


def _touching(
    row: Integers, start: Integers, end: Integers, width: int
) -> tuple[Integers, Integers]:
    """Pairs of runs that touch: of a row, and of the row below it."""
    import numpy as np

    pitch = width + 2
    starts, ends = row * pitch + start, row * pitch + end
    first = np.searchsorted(ends, starts + pitch, "left")
    last = np.searchsorted(starts, ends + pitch, "right")
    counts = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(row)), counts)
    offset = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts)
    return above, np.repeat(first, counts) + offset


def _joined(count: int, a: Integers, b: Integers) -> Integers:
    """The smallest member of what each of `count` is joined with by the pairs (a, b).

    Roots take the smaller root of a pair, and paths are halved, until nothing changes.
    """
    import numpy as np

    parent = np.arange(count)
    while len(a):
        first, second = parent[a], parent[b]
        apart = first != second
        a, b, first, second = a[apart], b[apart], first[apart], second[apart]
        np.minimum.at(parent, np.maximum(first, second), np.minimum(first, second))
        while True:
            shorter = parent[parent]
            if (shorter == parent).all():
                break
            parent = shorter
    return parent
