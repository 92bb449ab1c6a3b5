"""Segmentation maps as labels: resized and cropped as their pictures are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import replace
from tallow.vision.joining import stacked
from tallow.vision.settings import RESAMPLE, Settings
from tallow.vision.steps import STEPS, as_array

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def label_maps(maps: list[Any], count: int, settings: Settings) -> Array:
    """Labels (batch, height, width) of i64 from maps (height, width) of classes 0 to 255.

    A map is an array, a Tensor or a Pillow image of one channel. With `do_reduce_labels` class 0
    becomes 255 and the others one less.

    Raises:
        ArgumentError: a map is none, or this type of processor takes none.
    """
    expect(bool(settings.kind.maps), settings.type, "pictures alone", "maps", ArgumentError)
    expect(len(maps) == count, settings.type, f"{count} maps", len(maps), ArgumentError)
    if settings.kind.maps == "nearest":
        settings = replace(settings, resample=RESAMPLE["nearest"])
    if settings.mask_size:
        for name, key in (("mask_size", "longest_edge"), ("mask_pad_size", "height")):
            found = dict(getattr(settings, name))
            expect(key in found, f"{settings.type}: {name}", key, found, ArgumentError)
        settings = replace(settings, size=settings.mask_size, pad_size=settings.mask_pad_size)
    import numpy as np

    return stacked([_one(each, settings) for each in maps]).astype(np.int64)


def _one(given: Any, settings: Settings) -> Array:
    import numpy as np

    labels = np.asarray(given)
    good = labels.ndim == 2 and labels.size and labels.dtype.kind in "iub"
    good = good and labels.min() >= 0 and labels.max() <= 255
    wanted = "maps (height, width) of integers from 0 to 255"
    expect(bool(good), settings.type, wanted, (labels.dtype, labels.shape), ArgumentError)
    if settings.do_reduce_labels and not settings.mask_size:  # SAM reduces none
        labels = np.where((labels == 0) | (labels == 255), 255, labels.astype(np.int64) - 1)
    picture: Any = labels.astype(np.uint8)
    for name in settings.kind.steps:
        if name in ("resize", "crop"):
            picture = STEPS[name](picture, settings)
    labels = as_array(picture)
    if "pad_to_multiple" in settings.kind.steps:
        labels = STEPS["pad_to_multiple"](labels, settings)
    return _padded(labels, settings)


def _padded(labels: Array, settings: Settings) -> Array:
    import numpy as np

    if not settings.do_pad or not settings.mask_size:
        return labels
    edges = [settings.pad_size[name] for name in ("height", "width")]
    missing = [edge - found for edge, found in zip(edges, labels.shape, strict=True)]
    expect(min(missing) >= 0, "mask_pad_size", f"at least {labels.shape}", edges, ArgumentError)
    return np.pad(labels, [(0, edge) for edge in missing])
