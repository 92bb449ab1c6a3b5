"""Cases of interpolation, of sampling at a grid, and of shuffles."""

from typing import Any

import numpy as np

import tallow as tl
from ops.table import ALL, WIDE, Case, Draw
from tallow.ops.resample import WeightTable


def interpolated(d: Draw) -> list[Any]:
    line, image, volume = d.x((2, 2, 7)), d.x((2, 2, 5, 6)), d.x((1, 2, 3, 4, 3))
    made = [
        d(line, 10),
        d(line, scale_factor=0.6, mode="nearest-exact"),
        d(line, 4, mode="linear"),
        d(line, 12, mode="linear", align_corners=True),
        d(image, (8, 3)),
        d(image, scale_factor=(1.7, 2)),
        d(image, scale_factor=1.7, recompute_scale_factor=True, mode="bilinear"),
        d(image, (3, 11), mode="area"),
        d(image, (9, 4), mode="bilinear", align_corners=False),
        d(image, (1, 12), mode="bilinear", align_corners=True),
        d(image, scale_factor=2.3, mode="bicubic"),
        d(image, (7, 4), mode="bicubic", align_corners=True),
        d(volume, (2, 7, 5), mode="trilinear"),
        d(volume, scale_factor=2, mode="trilinear", align_corners=True),
        d(volume, 2),
        d(volume, (2, 3, 5), mode="area"),
    ]
    if d.dtype in WIDE:
        made += [
            d(image, (3, 4), mode="bilinear", antialias=True),
            d(image, scale_factor=0.4, mode="bicubic", antialias=True),
            d(image, (8, 9), mode="bicubic", antialias=True, align_corners=False),
        ]
    return made


def sampled(d: Draw) -> list[Any]:
    image, volume = d.x((2, 2, 4, 5)), d.x((1, 2, 3, 4, 3))
    grid, space = d.x((2, 3, 4, 2), -1.4, 1.4), d.x((1, 2, 3, 2, 3), -1.4, 1.4)
    return [
        *[
            d(image, grid, mode, padding, corners)
            for mode in ("bilinear", "nearest", "bicubic")
            for padding in ("zeros", "border", "reflection")
            for corners in (False, True)
        ],
        d(volume, space, align_corners=False),
        d(volume, space, "nearest", "border", True),
        d(volume, space, padding_mode="reflection", align_corners=False),
    ]


def table() -> WeightTable:
    return WeightTable(5, [0, 1, 3], [[0.5, 0.25], [1.0, -0.5, 2.0], [0.75]])


def weighed(input: np.ndarray, made: WeightTable, dim: int, dtype: Any) -> np.ndarray:
    matrix = np.zeros((len(made.starts), made.length))
    for o, (start, weights) in enumerate(zip(made.starts, made.weights, strict=True)):
        matrix[o, start : start + len(weights)] = weights
    return np.moveaxis(np.tensordot(matrix, input, (1, dim)), 0, dim)


def resampled(d: Draw) -> list[Any]:
    dtype = getattr(tl, d.dtype)
    return [
        d(d.x((2, 5, 3)), table(), 1, dtype),
        d(d.x((2, 4, 5)), table(), 2, dtype),
        d(d.x((5, 7)), table(), 0, dtype),
    ]


def ups(d: Draw) -> list[Any]:
    return [d(d.x((1, 2, 3, 4)), (5, 6)), d(d.x((1, 2, 3, 4)), scale_factor=2)]


def torch_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    import torch

    how = {"mode": "bilinear", "align_corners": True}
    return torch.nn.functional.interpolate(input, size, scale_factor, **how)


CASES = {
    "interpolate": Case(interpolated, factor=8, hypothesis=False),
    "upsample": Case(ups, torch="nn.functional.interpolate", hypothesis=False),
    "upsample_nearest": Case(ups, torch="nn.functional.interpolate", hypothesis=False),
    "upsample_bilinear": Case(ups, torch=torch_bilinear, factor=4, hypothesis=False),
    "nn.resample": Case(
        resampled, torch=False, numpy=weighed, factor=4, wide=False, hypothesis=False
    ),
    "nn.repeat_pixels": Case(
        lambda d: [
            d(d.x((2, 3, 4)), 2, 2),
            d(d.x((2, 1, 3, 5)), 1, 3),
            d(d.x((3, 2)), 4, 1),
            d(d.x((2, 0)), 2, 2),
        ],
        torch=lambda x, rows, columns: x.repeat_interleave(rows, -2).repeat_interleave(columns, -1),
        dtypes=ALL,
        hypothesis=False,
    ),
    # In a half the coordinates of grid and pixels round differently.
    "grid_sample": Case(sampled, dtypes=WIDE, factor=32, gradgrad=False, hypothesis=False),
    "affine_grid": Case(
        lambda d: [
            d(d.x((2, 2, 3)), (2, 1, 3, 4), align_corners=True),
            d(d.x((2, 2, 3)), (2, 1, 3, 4), align_corners=False),
            d(d.x((1, 3, 4)), (1, 2, 2, 3, 1), False),
        ],
        dtypes=WIDE,
        factor=4,
        hypothesis=False,
    ),
    "pixel_shuffle": Case(
        lambda d: [d(d.x((2, 8, 3, 2)), 2), d(d.x((9, 1, 2)), 3), d(d.x((1, 2, 4, 2, 2)), 1)],
        dtypes=ALL,
        hypothesis=False,
    ),
    "pixel_unshuffle": Case(
        lambda d: [d(d.x((2, 2, 4, 6)), 2), d(d.x((1, 3, 6)), 3)], dtypes=ALL, hypothesis=False
    ),
    "channel_shuffle": Case(
        lambda d: [d(d.x((2, 6, 3, 2)), 3), d(d.x((1, 4, 2, 2, 2)), 2)],
        dtypes=ALL,
        hypothesis=False,
    ),
}
