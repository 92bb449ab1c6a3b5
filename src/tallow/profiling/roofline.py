"""A profile as an SVG picture: kernels under the roofline, and their time with its waits.

Roofline model: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model
for multicore architectures", 2009.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, hypot, log10, pi, sin, sqrt
from typing import NamedTuple

from tallow.profiling.limits import Limits
from tallow.profiling.recording import Profile
from tallow.profiling.summary import Row, by_kernel, by_shapes

COLORS = ("#2a7f62", "#b5523b", "#3b6ea8", "#8a6d1f")  # of the profiles, in turn
WIDTH, LEFT, TOP, PLOT, TALL = 1040, 70, 56, 470, 330
LIST = LEFT + PLOT + 36  # where the list of points begins
MOST_POINTS, MOST_BARS = 7, 9  # of each profile
BAR, STEP, SCALE = LEFT + 130, 22, 420


class Point(NamedTuple):
    """A kernel with its shapes, at its operations a byte and its rate."""

    row: Row
    phase: str
    color: str

    @property
    def at(self) -> tuple[float, float]:
        """Operations a byte, and operations a second."""
        return (self.row.flops or 0) / max(self.row.bytes, 1), self.row.flops_per_s or 0.0


def roofline(profiles: Sequence[Profile], limits: Limits, title: str) -> str:
    """The picture as text."""
    points = list(_points(profiles))
    name = escape(_cut(title, 90))
    body = [f'<text x="{LEFT - 50}" y="26" font-size="16" font-weight="bold">{name}</text>']
    about = (
        f"Roof: {limits.flops_per_s / 1e9:.0f} GFLOP/s of float32 multiply-adds, "
        f"{limits.read_bytes_per_s / 1e9:.1f} GB/s of reads "
        f"({limits.threads} thread{'s' * (limits.threads > 1)}, {limits.isa}); "
        "8-bit products and what is in a cache may lie above it."
    )
    body.append(f'<text x="{LEFT - 50}" y="44" fill="#555">{escape(about)}</text>')
    body += _roof(points, limits)
    body += _list(points)
    height = max(TOP + TALL + 60, TOP + 40 + 30 * len(points))
    for profile, color in zip(profiles, _colors(profiles), strict=True):
        bars, height = _bars(profile, color, height)
        body += bars
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    )
    back = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([head, back, *body, "</svg>"]) + "\n"


def _colors(profiles: Sequence[Profile]) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(len(profiles))]


def _points(profiles: Sequence[Profile]) -> Iterator[Point]:
    """The longest rows whose operations are known."""
    for profile, color in zip(profiles, _colors(profiles), strict=True):
        rows = [r for r in by_shapes(profile) if r.flops and r.share >= 0.005 and r.flops_per_s]
        for row in rows[:MOST_POINTS]:
            yield Point(row, profile.name, color)


class Axes:
    """Both logarithmic, in decades that hold all points and the corner of the roof."""

    def __init__(self, points: Sequence[Point], limits: Limits) -> None:
        corner = limits.flops_per_s / limits.read_bytes_per_s
        xs = [corner / 30, corner * 10, *(p.at[0] for p in points)]
        rates = [limits.flops_per_s, *(p.at[1] for p in points)]
        ys = [limits.flops_per_s / 100, 2 * max(rates), *rates]
        self.x0, self.x1 = floor(log10(min(xs))), ceil(log10(max(xs)))
        self.y0, self.y1 = floor(log10(min(ys))), ceil(log10(max(ys)))

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return LEFT + PLOT * (log10(value) - self.x0) / (self.x1 - self.x0)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return TOP + TALL * (self.y1 - log10(value)) / (self.y1 - self.y0)


def _roof(points: Sequence[Point], limits: Limits) -> Iterator[str]:
    axes = Axes(points, limits)
    for power in range(axes.x0, axes.x1 + 1):
        x = axes.x(10.0**power)
        yield f'<path d="M{x:.1f} {TOP}v{TALL}" stroke="#e4e4e4"/>'
        yield f'<text x="{x:.1f}" y="{TOP + TALL + 16}" text-anchor="middle">{10.0**power:g}</text>'
    for power in range(axes.y0, axes.y1 + 1):
        y = axes.y(10.0**power)
        yield f'<path d="M{LEFT} {y:.1f}h{PLOT}" stroke="#e4e4e4"/>'
        shown = f"{10.0 ** (power - 9):g}"
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>'
    middle = LEFT + PLOT / 2
    yield (
        f'<text x="{middle}" y="{TOP + TALL + 36}" text-anchor="middle">'
        "operations a byte of operands</text>"
    )
    x, y = LEFT - 48, TOP + TALL / 2
    yield (
        f'<text x="{x}" y="{y}" text-anchor="middle" transform="rotate(-90 {x} {y})">GFLOP/s</text>'
    )
    yield _roof_line(axes, limits)
    for point in points:
        px, py = axes.x(point.at[0]), axes.y(point.at[1])
        yield (
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{_radius(point):.1f}" '
            f'fill="{point.color}" fill-opacity="0.75" stroke="white"/>'
        )
    yield from _numbers([(axes.x(p.at[0]), axes.y(p.at[1])) for p in points])


def _roof_line(axes: Axes, limits: Limits) -> str:
    """Up with the bandwidth, then flat."""
    peak, bandwidth = limits.flops_per_s, limits.read_bytes_per_s
    low = max(10.0**axes.x0, 10.0**axes.y0 / bandwidth)  # where it comes into the picture
    corner, end = axes.x(peak / bandwidth), LEFT + PLOT
    return (
        f'<path d="M{axes.x(low):.1f} {axes.y(low * bandwidth):.1f}'
        f'L{corner:.1f} {axes.y(peak):.1f}H{end}" fill="none" stroke="#333" stroke-width="1.5"/>'
    )


def _radius(point: Point) -> float:
    return 4 + 9 * sqrt(min(point.row.share, 1.0))


def _numbers(places: Sequence[tuple[float, float]]) -> Iterator[str]:
    """The points' numbers, each beside its point where no other number and no point is."""
    taken = list(places)
    for number, (x, y) in enumerate(places, 1):
        lx, ly = _free(x, y, taken)
        taken.append((lx, ly))
        if hypot(lx - x, ly - y) > 20:
            yield f'<path d="M{x:.1f} {y:.1f}L{lx:.1f} {ly:.1f}" stroke="#999"/>'
        yield (
            f'<text x="{lx:.1f}" y="{ly + 4:.1f}" text-anchor="middle" font-weight="bold" '
            f'stroke="white" stroke-width="3" paint-order="stroke">{number}</text>'
        )


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    for distance in range(18, 120, 6):
        for turn in range(16):
            angle = pi / 8 * turn - pi / 4
            lx, ly = x + distance * sin(angle + pi / 2), y + distance * sin(angle)
            inside = LEFT + 8 < lx < LEFT + PLOT - 8 and TOP + 8 < ly < TOP + TALL - 8
            if inside and all(hypot(lx - a, ly - b) > 17 for a, b in taken):
                return lx, ly
    return x, y


def _list(points: Sequence[Point]) -> Iterator[str]:
    """What the numbers stand for, two lines each."""
    for number, point in enumerate(points, 1):
        y = TOP + 8 + 30 * (number - 1)
        kernel, _, shapes = point.row.name.partition("  ")
        rate, share = (point.row.flops_per_s or 0) / 1e9, point.row.share
        where = f"{point.phase}: " if point.phase else ""
        yield f'<circle cx="{LIST}" cy="{y}" r="5" fill="{point.color}"/>'
        yield (
            f'<text x="{LIST + 12}" y="{y + 4}"><tspan font-weight="bold">{number}</tspan> '
            f"{escape(_cut(where + kernel, 34))}, {share:.0%} of the time, "
            f"{rate:.0f} GFLOP/s</text>"
        )
        yield (
            f'<text x="{LIST + 12}" y="{y + 17}" font-size="10" fill="#555">'
            f"{escape(_cut(shapes, 70))}</text>"
        )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _bars(profile: Profile, color: str, top: int) -> tuple[list[str], int]:
    """Time by kernel: dark where threads worked, light where they waited; and where it ends."""
    rows = by_kernel(profile)
    shown, rest = rows[:MOST_BARS], rows[MOST_BARS:]
    lines = [(r.name, r.seconds, r.waiting) for r in shown]
    if rest:
        seconds = sum(r.seconds for r in rest)
        waits = sum(r.seconds * r.waiting for r in rest) / seconds if seconds else 0.0
        lines.append((f"{len(rest)} other{'s' * (len(rest) > 1)}", seconds, waits))
    between = max(profile.seconds - profile.in_kernels, 0.0)
    lines.append(("between calls", between, 1.0))
    most = max(seconds for _, seconds, _ in lines) or 1.0
    name = f"{profile.name}: " if profile.name else ""
    said = f"{name}{profile.seconds * 1e3:.1f} ms by kernel (light: threads wait)"
    body = [f'<text x="{LEFT - 50}" y="{top + 20}" font-weight="bold">{escape(said)}</text>']
    for i, (label, seconds, waits) in enumerate(lines):
        y = top + 32 + i * STEP
        length = SCALE * seconds / most
        share = seconds / profile.seconds if profile.seconds else 0.0
        worked = length * (1 - waits)
        body += [
            f'<text x="{BAR - 8}" y="{y + 12}" text-anchor="end">{escape(_cut(label, 24))}</text>',
            f'<rect x="{BAR}" y="{y}" width="{worked:.1f}" height="15" fill="{color}"/>',
            (
                f'<rect x="{BAR + worked:.1f}" y="{y}" width="{length - worked:.1f}" height="15" '
                f'fill="{color}" fill-opacity="0.3"/>'
            ),
            (
                f'<text x="{BAR + length + 8:.1f}" y="{y + 12}">{seconds * 1e3:.2f} ms, '
                f"{share:.1%}</text>"
            ),
        ]
    return body, top + 32 + len(lines) * STEP + 16
