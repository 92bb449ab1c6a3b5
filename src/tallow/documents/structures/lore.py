"""LORE: the cells of a table without rules, and the rows and columns that each covers.

Source: Xing et al., LORE: Logical Location Regression Network for Table Structure Recognition,
AAAI 2023, arXiv:2303.03730. A detector finds cells by their middles; a transformer over all of them
regresses the first and last row and column of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents import sessions
from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Slot, Structure, tiled
from tallow.documents.structures.crops import (
    CENTERNET_MEAN,
    CENTERNET_STD,
    Crop,
    cropped,
    normalized,
    sampled,
    widened,
)
from tallow.documents.structures.from_quads import upright, without_twins
from tallow.documents.structures.peaks import STRIDE, at, peaks, points_around

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]

ALIAS = "lore"
SIDE = 768
LEAST = 0.15  # probability of a cell, as the published decoder
_POSITIONS = 256  # rows of the transformer's tables of places
# Regressed places stray; more than a half from whole, or a row of a table that is not there.
_MOST_LINES = 512


def propose(content: PageContent, region: Region) -> list[Structure]:
    """The structure of a table without rules; none where no cell is found."""
    crop = cropped(content, widened(content, region))
    found = to_structure(*decode(crop.pixels), crop)
    return [] if found is None else [found]


def decode(pixels: Any) -> tuple[Floats, Floats, Floats]:
    """The cells of a picture, RGB: corners (cells, 4, 2) in its pixels, lines, probabilities.

    Lines, (cells, 4), are the first and last row and the first and last column of each, regressed.
    Corners are in order top left, top right, bottom right, bottom left. Best cells come first.

    Raises:
        HubError, FormatError: as `sessions.model`.
    """
    import numpy as np

    scale = SIDE / max(pixels.shape[:2])
    places = np.arange(SIDE) / scale
    square = sampled(pixels[:, :, ::-1], places, places)
    image = normalized(np.rint(square), CENTERNET_MEAN, CENTERNET_STD)
    maps = sessions.model(ALIAS, "lore_detect.onnx")(image)
    heat, _, to_corners, features, corner_features, offsets = (each[0] for each in maps)
    cells, sure = peaks(heat[0], LEAST)
    quads = points_around(cells, at(to_corners, cells), at(offsets, cells))
    if not len(quads):
        return quads, np.zeros((0, 4), np.float32), sure
    logical = at(features, cells) + features_of_corners(quads, corner_features)
    corners = quads.reshape(1, -1, 8).astype(np.int64).clip(0, _POSITIONS - 1)
    lines = sessions.model(ALIAS, "lore_process.onnx")(logical[None], corners)[1][0]
    return quads * (STRIDE / scale), lines, sure


def features_of_corners(quads: Floats, features: Floats) -> Floats:
    """What a map, (channels, height, width), holds at the corners of each cell, summed."""
    import numpy as np

    high, wide = features.shape[1:]
    xs = np.rint(quads[..., 0]).astype(np.int64).clip(0, wide - 1)
    ys = np.rint(quads[..., 1]).astype(np.int64).clip(0, high - 1)
    return features[:, ys, xs].sum(-1).T  # type: ignore[no-any-return]


def whole_lines(lines: Floats) -> Any:
    """Regressed rows and columns as whole numbers, (cells, 4): first before last, none negative."""
    import numpy as np

    made = np.asarray(lines, np.float64).copy()
    for first, last in ((0, 1), (2, 3)):
        one = np.abs(made[:, first] - made[:, last]) < 0.2  # the published decoder's: a single one
        made[one, first] = made[one, last] = made[one][:, [first, last]].mean(1)
    whole = np.rint(np.nan_to_num(made)).clip(0, _MOST_LINES - 1).astype(np.int64)
    return np.stack([whole[:, 0], whole[:, :2].max(1), whole[:, 2], whole[:, 2:].max(1)], 1)


def to_structure(quads: Floats, lines: Floats, sure: Floats, crop: Crop) -> Structure | None:
    """The structure of cells with regressed lines; None where there are none.

    Lines that no cell starts or ends at are no lines of the grid.
    """
    import numpy as np

    boxes = upright(np.asarray(quads, np.float64))
    kept = without_twins(boxes, np.arange(len(boxes)))
    if not len(kept):
        return None
    whole = whole_lines(lines)[kept]
    for first, last in ((0, 1), (2, 3)):
        used = np.unique(whole[:, [first, last]])
        whole[:, [first, last]] = np.searchsorted(used, whole[:, [first, last]])
    slots = [
        Slot(int(r0), int(c0), int(r1 - r0 + 1), int(c1 - c0 + 1), crop.to_page(box))
        for (r0, r1, c0, c1), box in zip(whole, boxes[kept], strict=True)
    ]
    rows, columns = max(slot.bottom for slot in slots), max(slot.right for slot in slots)
    return Structure(rows, columns, tiled(rows, columns, slots), ALIAS, float(sure[kept].mean()))
