"""Rectangles around points: the smallest one, grown, as corners in the order of its text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from tallow.documents.geometry import Box, Quad, box_of, quad_of

Point: TypeAlias = tuple[float, float]


def convex_hull(points: Sequence[Point]) -> list[Point]:
    """The corners of the hull, without those on its edges (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def chain(along: Sequence[Point]) -> list[Point]:
        kept: list[Point] = []
        for point in along:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
                kept.pop()
            kept.append(point)
        return kept[:-1]

    return chain(ordered) + chain(ordered[::-1])


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def smallest_rectangle(points: Sequence[Point]) -> Quad:
    """The corners of the rectangle of least area around points; one of its sides is a hull's edge.

    Source: H. Freeman and R. Shapira, "Determining the minimum-area encasing rectangle", 1975.
    """
    hull = convex_hull(points)
    if len(hull) < 3:
        return quad_of(box_of_points(hull))
    best, found = math.inf, quad_of(box_of_points(hull))
    for a, b in zip(hull, [*hull[1:], hull[0]], strict=True):
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        c, s = (b[0] - a[0]) / length, (b[1] - a[1]) / length
        along = [x * c + y * s for x, y in hull]
        across = [y * c - x * s for x, y in hull]
        u, v, w, z = min(along), min(across), max(along), max(across)
        if (w - u) * (z - v) < best - 1e-9:
            best = (w - u) * (z - v)
            corners = ((u, v), (w, v), (w, z), (u, z))
            found = tuple((p * c - q * s, p * s + q * c) for p, q in corners)  # type: ignore[assignment]
    return upright(found)


def box_of_points(points: Sequence[Point]) -> Box:
    """The smallest upright box around points; at least one is needed."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def upright(quad: Quad) -> Quad:
    """The same corners, clockwise from the top left: the first side turned by 45° at most."""
    a, b = quad[0], quad[1]
    angle = math.degrees(math.atan2(b[1] - a[1], b[0] - a[0]))
    turns = round(angle / 90) % 4
    corners = quad[-turns:] + quad[:-turns] if turns else quad
    return corners[0], corners[1], corners[2], corners[3]


def sides(quad: Quad) -> tuple[float, float]:
    """Width and height of a rectangle given by its corners."""
    (ax, ay), (bx, by), _, (dx, dy) = quad
    return math.hypot(bx - ax, by - ay), math.hypot(dx - ax, dy - ay)


def grown(quad: Quad, by: float) -> Quad:
    """A rectangle with each side moved outwards."""
    width, height = sides(quad)
    if not width or not height:
        left, top, right, bottom = box_of(quad)
        return quad_of((left - by, top - by, right + by, bottom + by))
    (ax, ay), (bx, by_), _, (dx, dy) = quad
    ux, uy = (bx - ax) / width * by, (by_ - ay) / width * by
    vx, vy = (dx - ax) / height * by, (dy - ay) / height * by
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    moved = [
        (x + i * ux + j * vx, y + i * uy + j * vy)
        for (x, y), (i, j) in zip(quad, signs, strict=True)
    ]
    return moved[0], moved[1], moved[2], moved[3]


def straightened(quad: Quad, tolerance: float = 0.15) -> Quad:
    """An upright box where a rectangle's ends differ by less than a part of its height.

    The slope of one that is not twice as long as high says nothing, so it becomes one, too.
    """
    width, height = sides(quad)
    if max(width, height) < 2 * min(width, height):
        x, y = (sum(each) / 4 for each in zip(*quad, strict=True))
        steep = abs(quad[1][0] - quad[0][0]) < abs(quad[1][1] - quad[0][1])
        across, down = (height, width) if steep else (width, height)
        return quad_of((x - across / 2, y - down / 2, x + across / 2, y + down / 2))
    (ax, ay), (bx, by), _, (dx, dy) = quad
    rise = abs(by - ay) if width >= height else abs(dx - ax)
    if rise > tolerance * min(width, height):
        return quad
    left, top = (ax + dx) / 2, (ay + by) / 2
    right, bottom = (bx + quad[2][0]) / 2, (quad[2][1] + dy) / 2
    return quad_of((left, top, right, bottom))


def scaled(quad: Quad, x: float, y: float) -> Quad:
    """Corners times a factor of each axis."""
    moved = [(px * x, py * y) for px, py in quad]
    return moved[0], moved[1], moved[2], moved[3]
