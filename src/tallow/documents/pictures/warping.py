"""Homographies of pictures: turning, straightening, and what became of a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.documents.geometry import Quad

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def turning_back(turn: int, width: int, height: int) -> Any:
    """From a picture that was turned upright to the one of `width` × `height` before.

    `turn` is how many degrees clockwise (0, 90, 180, 270) that one was turned.
    """
    import numpy as np

    matrices = {
        0: IDENTITY,
        90: ((0, -1, width), (1, 0, 0), (0, 0, 1)),
        180: ((-1, 0, width), (0, -1, height), (0, 0, 1)),
        270: ((0, 1, 0), (-1, 0, height), (0, 0, 1)),
    }
    return np.array(matrices[turn], float)


def leveling(degrees: float, width: int, height: int) -> tuple[Any, tuple[int, int]]:
    """(homography, size): from the level picture of `size` to one turned clockwise by `degrees`.

    The level picture has room for all of the other.
    """
    import numpy as np

    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    size = (
        int(np.ceil(abs(width * cos) + abs(height * sin))),
        int(np.ceil(abs(width * sin) + abs(height * cos))),
    )
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    turn[:2, 2] = np.array([width, height]) / 2 - turn[:2, :2] @ (np.array(size) / 2)
    return turn, size


def flattening(quad: Quad) -> tuple[Any, tuple[int, int]]:
    """(homography, size): from an upright picture of `size` to the quad that it was seen as."""
    import numpy as np

    corners = np.array(quad, float)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    width, height = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    size = (max(round(float(width)), 1), max(round(float(height)), 1))
    flat = [(0, 0), (size[0], 0), size, (0, size[1])]
    return homography(flat, corners), size


def homography(points: Any, images: Any) -> Any:
    """The 3 × 3 homography that takes four points to four images."""
    import numpy as np

    rows, values = [], []
    for (x, y), (u, v) in zip(points, images, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return np.append(solved, 1.0).reshape(3, 3)


def mapped(matrix: Any, points: Any) -> Any:
    """Points (n, 2) under a homography (3 × 3, or its nine numbers)."""
    import numpy as np

    points = np.asarray(points, float)
    full = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    full = full @ np.asarray(matrix, float).reshape(3, 3).T
    return full[:, :2] / full[:, 2:]


def warped(pixels: Pixels, matrix: Any, size: tuple[int, int]) -> Pixels:
    """The picture of `size` (width, height) whose points `matrix` takes to those of `pixels`.

    What lies outside has the colour that is commonest at the edges of `pixels`.
    """
    import numpy as np
    from PIL import Image

    scale = matrix[2][2]
    coefficients = [float(value / scale) for value in np.asarray(matrix).reshape(-1)[:8]]
    picture = Image.fromarray(pixels).transform(
        size,
        Image.Transform.PERSPECTIVE,
        coefficients,
        Image.Resampling.BICUBIC,
        fillcolor=edge_colour(pixels),
    )
    return np.asarray(picture)


def edge_colour(pixels: Pixels) -> tuple[int, int, int]:
    """The commonest colour along the edges of a picture."""
    import numpy as np

    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    coarse = edge >> 3
    _, which, count = np.unique(coarse, axis=0, return_inverse=True, return_counts=True)
    common = edge[which.reshape(-1) == int(count.argmax())]
    red, green, blue = (int(value) for value in np.median(common, axis=0))
    return red, green, blue
