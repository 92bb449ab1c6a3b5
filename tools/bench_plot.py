"""Plots of benchmarks: a bar for each case from 1 to its ratio, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log2

from bench_cases import Case, Quartiles, geometric_mean

AHEAD, BEHIND = "#2a7f62", "#b5523b"
MOST = 64  # bars; beyond that each group of cases has one
STEP, TOP, WIDE = 18, 34, 430


def plot(cases: Sequence[Case]) -> str:
    """Bars with quartiles: to the right where Tallow is ahead, to the left where it is behind."""
    bars = [(case.label, case.ratio) for case in cases]
    if len(bars) > MOST:
        bars = _groups(cases)
    left = 20 + 7 * max(len(label) for label, _ in bars)
    ends = [value for _, row in bars for value in (row["q1"], row["q3"], 1.0)]
    low, high = floor(log2(min(ends)) - 0.01), ceil(log2(max(ends)) + 0.01)
    scale = WIDE / (high - low)
    width, height = left + WIDE + 70, TOP + STEP * len(bars) + 14

    def x(value: float) -> float:
        return left + scale * (log2(value) - low)

    body = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    every = max(1, (high - low) // 8)
    for power in range(low, high + 1, every):
        at = x(2.0**power)
        body.append(f'<path d="M{at:.1f} {TOP - 8}V{height - 8}" stroke="#e0e0e0"/>')
        body.append(f'<text x="{at:.1f}" y="16" text-anchor="middle">{2.0**power:g}×</text>')
    for i, (label, row) in enumerate(bars):
        body += _bar(label, row, TOP + i * STEP, left, width, x)
    body.append(f'<path d="M{x(1):.1f} {TOP - 8}V{height - 8}" stroke="#333"/>')
    return "\n".join([*body, "</svg>"]) + "\n"


def _bar(
    label: str, row: Quartiles, y: int, left: int, width: int, x: Callable[[float], float]
) -> list[str]:
    middle = row["median"]
    begin, end = sorted((x(1), x(middle)))
    low, high = x(row["q1"]), x(row["q3"])
    color = AHEAD if middle >= 1 else BEHIND
    return [
        f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>',
        (
            f'<rect x="{begin:.1f}" y="{y}" width="{max(end - begin, 1):.1f}" height="13" '
            f'fill="{color}"/>'
        ),
        f'<path d="M{low:.1f} {y + 6.5}H{high:.1f}" stroke="black" stroke-width="1.5"/>',
        f'<text x="{width - 8}" y="{y + 11}" text-anchor="end">{middle:.2f}×</text>',
    ]


def _groups(cases: Sequence[Case]) -> list[tuple[str, Quartiles]]:
    """Geometric means of groups; their whiskers go from the least to the most case."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        many = f", {case.threads} thread{'s' * (case.threads != 1)}" if case.threads else ""
        found.setdefault(f"{case.group or 'all'}{many}", []).append(case)
    made = []
    for name, members in found.items():
        medians = [case.ratio["median"] for case in members]
        row = {"median": geometric_mean(members), "q1": min(medians), "q3": max(medians)}
        made.append((f"{name} ({len(members)})", row))
    return made
