"""Peaks of heat maps, as detectors of points (CenterNet and what was made of it) give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]
    Places = tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]

STRIDE = 4  # pixels of the input per place of the maps
MOST_PEAKS = 3000  # as the published decoders; more cells than any table of one picture has


def peaks(logits: Floats, least: float) -> tuple[Places, Floats]:
    """Where a map, (height, width), is highest of the 3 × 3 around: rows and columns, best first.

    Those of a probability below `least` are left out; with them go the probabilities.
    """
    import numpy as np

    high, wide = logits.shape
    around = np.full((high + 2, wide + 2), -np.inf, np.float32)
    around[1:-1, 1:-1] = logits
    rows = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
    highest = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    ys, xs = np.nonzero((logits == highest) & (logits >= np.log(least / (1 - least))))
    order = np.argsort(-logits[ys, xs], kind="stable")[:MOST_PEAKS]
    ys, xs = ys[order], xs[order]
    return (ys, xs), (1 / (1 + np.exp(-logits[ys, xs]))).astype(np.float32)


def at(values: Floats, places: Places) -> Floats:
    """Of maps, (channels, height, width), what they hold at places: (places, channels)."""
    return values[:, places[0], places[1]].T


def points_around(places: Places, shifts: Floats, offsets: Floats) -> Floats:
    """Points at `shifts`, (n, 2k), left and up of places moved by `offsets`, (n, 2): (n, k, 2)."""
    import numpy as np

    middles = np.stack([places[1], places[0]], 1) + offsets
    return (middles[:, None] - shifts.reshape(len(shifts), shifts.shape[1] // 2, 2)).astype(
        np.float32
    )
