"""Cycle-CenterNet: the cells of a ruled table as quadrilaterals, their corners shared.

Source: Long et al., Parsing Table Structures in the Wild, ICCV 2021. Its maps, a quarter of the
input: the middles of cells and the corners that they share; from each middle to its four corners,
from each corner to the four middles around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents import sessions
from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.crops import (
    CENTERNET_MEAN,
    CENTERNET_STD,
    cropped,
    normalized,
    sampled,
    widened,
)
from tallow.documents.structures.from_quads import structure_of
from tallow.documents.structures.peaks import STRIDE, at, peaks, points_around

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]

ALIAS = "cyclecenternet"
SIDE = 1024
WIDE_SIDE = 512  # at a quarter of the cost
_WIDE = 0.4  # of the longer side: cells of 400 pixels of the first input are found at times
LEAST = 0.3  # probability of a cell and of a corner, as the published decoder


def propose(content: PageContent, region: Region) -> list[Structure]:
    """The structure of a ruled table; none where no cell is found."""
    import numpy as np

    crop = cropped(content, widened(content, region))
    quads, sure = decode(crop.pixels)
    pages = (quads + np.asarray([crop.left, crop.top])) / crop.scale
    found = structure_of(pages, sure, ALIAS)
    return [] if found is None else [found]


def decode(pixels: Any) -> tuple[Floats, Floats]:
    """The cells of a picture, RGB: corners (cells, 4, 2) in its pixels, and probabilities.

    Corners are in order top left, top right, bottom right, bottom left. The model does not see
    cells that are wider than what a place of its maps looks at: these come from a second, smaller
    input.

    Raises:
        HubError, FormatError: as `sessions.model`.
    """
    import numpy as np

    quads, sure = decode_at(pixels, SIDE)
    wide, less_sure = decode_at(pixels, WIDE_SIDE)
    large = np.ptp(wide, 1).max(1) >= _WIDE * max(pixels.shape[:2])
    return np.concatenate([quads, wide[large]]), np.concatenate([sure, less_sure[large]])


def decode_at(pixels: Any, side: int) -> tuple[Floats, Floats]:
    """As `decode`, by one input of `side` × `side`; best cells come first."""
    import numpy as np

    high, wide = pixels.shape[:2]
    scale = side / max(high, wide)
    places = (np.arange(side) - side / 2) / scale  # the picture's middle is the input's
    square = sampled(pixels[:, :, ::-1], places + wide / 2, places + high / 2)
    image = normalized(np.rint(square), CENTERNET_MEAN, CENTERNET_STD)
    heat, to_middles, to_corners, offsets = (each[0] for each in sessions.model(ALIAS)(image))
    quads, sure = read_maps(heat, to_middles, to_corners, offsets, scale / STRIDE)
    middle = np.asarray([wide, high], np.float32) / 2
    return (quads - side / 2 / STRIDE) * (STRIDE / scale) + middle, sure


def read_maps(
    heat: Floats, to_middles: Floats, to_corners: Floats, offsets: Floats, scale: float
) -> tuple[Floats, Floats]:
    """The cells that maps, (channels, height, width), hold, in their units, and probabilities.

    `scale` is how many places of the maps a pixel of the picture has.
    """
    places, sure = peaks(heat[0], LEAST)
    quads = points_around(places, at(to_corners, places), at(offsets, places))
    places, _ = peaks(heat[1], LEAST)
    middles = points_around(places, at(to_middles, places), at(offsets, places))
    corners = points_around(places, at(to_middles, places) * 0, at(offsets, places))[:, 0]
    # Of the map's four corners the second is the one below the first: turned to go clockwise.
    return shared_corners(quads, corners, middles, 2 * scale)[:, [0, 3, 2, 1]], sure


def shared_corners(quads: Floats, corners: Floats, middles: Floats, least: float) -> Floats:
    """Cells with their corners moved to those that the cells around share.

    A corner, (n, 2), moves the nearest corner of each cell that holds one of its `middles`,
    (n, 4, 2), if it is nearer than half of the cell's longer side. A middle nearer to its corner
    than `least` is of no cell: tables end there. Of corners that a cell is offered for one of its
    own the nearest is taken: beside a tall cell are the corners of all its neighbours.
    """
    import numpy as np

    moved, nearest = quads.copy(), np.full(quads.shape[:2], np.inf)
    low, high = quads.min(1), quads.max(1)
    longer = _sides(quads).max(1)
    for corner, around in zip(corners, middles, strict=True):
        for middle in around[np.hypot(*(around - corner).T) >= least]:
            near = np.flatnonzero(((low <= middle) & (middle <= high)).all(1))
            near = near[_holds(quads[near], middle)]
            if not len(near):
                continue
            away = np.hypot(*(quads[near] - corner).transpose(2, 0, 1))
            which, least_away = away.argmin(1), away.min(1)
            good = (least_away < longer[near] / 2) & (least_away < nearest[near, which])
            moved[near[good], which[good]] = corner
            nearest[near[good], which[good]] = least_away[good]
    return moved


def _sides(quads: Floats) -> Floats:
    """Width and height of cells, corners in either order: (n, 2)."""
    import numpy as np

    first = np.abs(quads[:, 3] - quads[:, 0]) + np.abs(quads[:, 2] - quads[:, 1])
    second = np.abs(quads[:, 1] - quads[:, 0]) + np.abs(quads[:, 2] - quads[:, 3])
    return np.asarray(np.maximum(first, second) / 2)


def _holds(quads: Floats, point: Floats) -> Any:
    """Which of quadrilaterals, (n, 4, 2), hold a point: it is on the same side of all edges."""
    import numpy as np

    edges, to_point = np.roll(quads, -1, 1) - quads, point - quads
    side = edges[..., 0] * to_point[..., 1] - edges[..., 1] * to_point[..., 0]
    return (side > 0).all(1) | (side < 0).all(1)
