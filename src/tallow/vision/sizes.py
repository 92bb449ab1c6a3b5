"""The rules by which processors choose the size to which a picture is resized."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from tallow.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tallow.vision.settings import Settings

MAX_RATIO = 200  # of Qwen-VL's pictures, long edge by short one
MAX_4K = 4096  # the longest edge that Idefics 3 resizes to

SizeRule = Callable[[int, int, "Settings"], tuple[int, int]]
"""From a picture's height and width to those that it gets."""


def edges(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """What `size` says: both edges, the shortest, the shortest with a limit, or a box."""
    size = settings.size
    if "shortest_edge" in size and "longest_edge" in size:
        return within(height, width, size["shortest_edge"], size["longest_edge"])
    if "shortest_edge" in size:
        return shortest(height, width, size["shortest_edge"])
    if "max_height" in size:
        scale = min(size["max_height"] / height, size["max_width"] / width)
        return int(height * scale), int(width * scale)
    if "longest_edge" in size:
        # The authors of Table Transformer: the longest edge exactly, upwards too.
        scale = size["longest_edge"] / max(height, width)
        return round(height * scale), round(width * scale)
    return size["height"], size["width"]


def shortest(height: int, width: int, edge: int) -> tuple[int, int]:
    """The shortest edge as given, the other one in proportion and cut to whole pixels."""
    long = int(edge * max(height, width) / min(height, width))
    return (long, edge) if width <= height else (edge, long)


def within(
    height: int, width: int, edge: int, limit: int, *, keep_portrait: bool = True
) -> tuple[int, int]:
    """DETR's: the shortest edge as given, unless the longest one would then pass the limit.

    A picture whose short edge is right stays as it is; a portrait only with `keep_portrait`.
    """
    short, long = min(height, width), max(height, width)
    scale: float = edge
    if long / short * edge > limit:
        scale = limit * short / long
        edge = round(scale)
    if short == edge and (keep_portrait or width >= height):
        return height, width
    return (
        (int(scale * height / width), edge)
        if width < height
        else (edge, int(scale * width / height))
    )


def multiples_of_16(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """YOLOS: as DETR, then down to multiples of 16."""
    size = settings.size
    if "longest_edge" not in size:
        return edges(height, width, settings)
    if "shortest_edge" in size:
        limits = size["shortest_edge"], size["longest_edge"]
        high, wide = within(height, width, *limits, keep_portrait=False)
    else:
        high, wide = edges(height, width, settings)
    return high - high % 16, wide - wide % 16


def squared(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """ConvNeXT: from 384 pixels on a square; below, a margin of `crop_pct` to be cropped off."""
    edge = settings.size["shortest_edge"]
    if edge >= 384:
        return edge, edge
    return shortest(height, width, int(edge / settings.crop_pct))


def longest(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """SAM: the longest edge as given."""
    scale = settings.size["longest_edge"] * 1.0 / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def page(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Donut: the shortest edge becomes the shorter one of the page."""
    return shortest(height, width, min(settings.size["height"], settings.size["width"]))


def multiples(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """DPT: multiples of a number near `size`, with the picture's own aspect if asked for."""
    tall, wide = settings.size["height"] / height, settings.size["width"] / width
    if settings.keep_aspect_ratio:
        tall = wide = wide if abs(1 - wide) < abs(1 - tall) else tall
    step = settings.ensure_multiple_of
    return round(tall * height / step) * step, round(wide * width / step) * step


def most_patches(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """SigLIP 2: multiples of the patch such that at most `max_num_patches` are needed."""
    patch, most = settings.patch_size, settings.max_num_patches

    def scaled(scale: float) -> tuple[int, int]:
        high, wide = (math.ceil(edge * scale / patch) * patch for edge in (height, width))
        return max(patch, high), max(patch, wide)

    # The same bisection to the same width, since the last step decides about a row of patches.
    low, high = 1e-5 / 10, 100.0
    while high - low >= 1e-5:
        middle = (low + high) / 2
        tall, wide = scaled(middle)
        if (tall / patch) * (wide / patch) <= most:
            low = middle
        else:
            high = middle
    return scaled(low)


def pixels_between(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Qwen-VL: multiples of merged patches whose number of pixels is within the bounds.

    Raises:
        ArgumentError: one edge is more than 200 times as long as the other.
    """
    ratio = max(height, width) / min(height, width)
    wanted, got = "edges of at most 200 to 1", f"{height} × {width}"
    expect(ratio <= MAX_RATIO, "resize", wanted, got, ArgumentError)
    step = settings.patch_size * settings.merge_size
    least, most = settings.size["shortest_edge"], settings.size["longest_edge"]
    high, wide = round(height / step) * step, round(width / step) * step
    if high * wide > most:
        scale = math.sqrt(height * width / most)
        high, wide = (max(step, math.floor(n / scale / step) * step) for n in (height, width))
    if high * wide < least:
        scale = math.sqrt(least / (height * width))
        high, wide = (math.ceil(n * scale / step) * step for n in (height, width))
    return high, wide


def whole_patches(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Pixtral: down into a box, in proportion, then up to whole patches."""
    size, step = settings.size, settings.patch_size
    box = size.get("longest_edge", 0)
    ratio = max(height / (box or size["height"]), width / (box or size["width"]))
    if ratio > 1:
        height, width = math.floor(height / ratio), math.floor(width / ratio)
    return ((height - 1) // step + 1) * step, ((width - 1) // step + 1) * step


def even_longest(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Idefics 3: the longest edge as given and the other even, then within 4096 pixels."""
    if "longest_edge" not in settings.size:
        return settings.size["height"], settings.size["width"]
    edge = settings.size["longest_edge"]
    aspect = width / height
    if width >= height:
        short = int(edge / aspect)
        height, width = max(short + short % 2, 1), edge
    else:
        short = int(edge * aspect)
        height, width = edge, max(short + short % 2, 1)
    aspect = width / height
    if max(height, width) > MAX_4K:
        if width >= height:
            height, width = max(int(MAX_4K / aspect), 1), MAX_4K
        else:
            height, width = MAX_4K, max(int(MAX_4K * aspect), 1)
    return height, width


def whole_frames(height: int, width: int, edge: int) -> tuple[int, int]:
    """Idefics 3: multiples of a frame's edge, the longer side first."""
    aspect = width / height
    if width >= height:
        width = math.ceil(width / edge) * edge
        return math.ceil(int(width / aspect) / edge) * edge, width
    height = math.ceil(height / edge) * edge
    return height, math.ceil(int(height * aspect) / edge) * edge


def timm(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """As timm evaluates: `size` over `crop_pct`, met as `crop_mode` says."""
    high, wide = (
        math.floor(settings.size[name] / settings.crop_pct) for name in ("height", "width")
    )
    if settings.crop_mode == "squash":
        return high, wide
    ratios = height / high, width / wide
    if settings.crop_mode == "border":
        ratio = max(ratios)
    elif high == wide:
        return shortest(height, width, high)
    else:
        ratio = min(ratios)
    return round(height / ratio), round(width / ratio)


RULES: dict[str, SizeRule] = {
    rule.__name__: rule
    for rule in (
        *(edges, multiples_of_16, squared, longest, page, multiples, most_patches, timm),
        *(pixels_between, whole_patches, even_longest),
    )
}
