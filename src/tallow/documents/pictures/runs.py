"""Runs of set pixels along the rows of a mask, and how they join: all of a page at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.documents.pictures.levels import Mask

    Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Runs:
    """Runs in order of rows, then columns: pixels `start` to `end` (not included) of `row`."""

    row: Ints
    start: Ints
    end: Ints

    def take(self, which: Any) -> Runs:
        """Some of them, by indices or a mask."""
        return Runs(self.row[which], self.start[which], self.end[which])

    @property
    def length(self) -> Ints:
        """How many pixels each has."""
        return self.end - self.start


def runs_of(mask: Mask) -> Runs:
    """Every run of set pixels of every row."""
    import numpy as np

    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    flat = padded.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    row, start = np.divmod(changes[::2], width + 2)
    return Runs(row, start, changes[1::2] % (width + 2))


def bridged(runs: Runs, join: Any) -> tuple[Runs, Ints]:
    """Runs joined to the next of their row where `join` (one shorter than runs) says so.

    Returns the joined runs and how many pixels of each were set.
    """
    import numpy as np

    if not len(runs.row):
        return runs, runs.row
    first = np.flatnonzero(np.concatenate([[True], ~(join & (runs.row[1:] == runs.row[:-1]))]))
    last = np.concatenate([first[1:] - 1, [len(runs.row) - 1]])
    joined = Runs(runs.row[first], runs.start[first], runs.end[last])
    return joined, np.add.reduceat(runs.length, first)


def touching(runs: Runs, reach: int = 0, rows: int = 1) -> tuple[Ints, Ints]:
    """Pairs of runs at most `rows` rows apart that overlap or are at most `reach` pixels apart."""
    import numpy as np

    stride = int(runs.end.max(initial=0)) + 2 * reach + 2
    starts = runs.row * stride + runs.start
    ends = runs.row * stride + runs.end
    left, right = [], []
    for step in range(1, rows + 1):
        low = np.searchsorted(
            ends, starts + step * stride - reach, "right" if not reach else "left"
        )
        high = np.searchsorted(
            starts, ends + step * stride + reach, "left" if not reach else "right"
        )
        count = np.maximum(high - low, 0)
        index = np.repeat(np.arange(len(starts)), count)
        offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        other = low[index] + offset
        same = runs.row[other] == runs.row[index] + step
        left.append(index[same])
        right.append(other[same])
    return np.concatenate(left), np.concatenate(right)


def groups(count: int, pairs: tuple[Ints, Ints]) -> Ints:
    """A number for each of `count` things: equal where pairs join them, from 0 without gaps.

    Hooks each root to the least that it meets, then halves paths, until nothing changes
    (Shiloach and Vishkin, An O(log n) parallel connectivity algorithm, 1982).
    """
    import numpy as np

    root = np.arange(count)
    left, right = pairs
    while len(left):
        a, b = root[left], root[right]
        apart = a != b
        if not apart.any():
            break
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = root[root]
            if np.array_equal(above, root):
                break
            root = above
    return np.unique(root, return_inverse=True)[1]


def boxes_of_runs(runs: Runs, group: Ints) -> Ints:
    """(groups, 4): left, top, right, bottom of each group; right and bottom not included."""
    import numpy as np

    count = int(group.max(initial=-1)) + 1
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    np.minimum.at(boxes[:, 0], group, runs.start)
    np.minimum.at(boxes[:, 1], group, runs.row)
    np.maximum.at(boxes[:, 2], group, runs.end)
    np.maximum.at(boxes[:, 3], group, runs.row + 1)
    return boxes
