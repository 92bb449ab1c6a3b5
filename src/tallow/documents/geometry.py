"""Boxes and homographies of pages: y points down, a box is (left, top, right, bottom)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom)."""
Quad: TypeAlias = tuple[
    tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]
]
"""Corners of what may be turned: top left, top right, bottom right, bottom left of its text."""


def area(box: Box) -> float:
    """The area of a box; 0 of one that is empty."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection(a: Box, b: Box) -> Box:
    """What two boxes share; an empty box where they share nothing."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def share_inside(inner: Box, outer: Box) -> float:
    """How much of `inner` lies in `outer`, from 0 to 1."""
    whole = area(inner)
    return area(intersection(inner, outer)) / whole if whole else 0.0


def intersection_over_union(a: Box, b: Box) -> float:
    """Overlap of two boxes, from 0 to 1."""
    shared = area(intersection(a, b))
    whole = area(a) + area(b) - shared
    return shared / whole if whole else 0.0


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all; at least one is needed."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """How much two intervals share, in their unit; 0 where they do not meet."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def center(box: Box) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def quad_of(box: Box) -> Quad:
    """A box as its four corners."""
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def box_of(quad: Quad) -> Box:
    """The smallest upright box around a quad."""
    xs, ys = zip(*quad, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
