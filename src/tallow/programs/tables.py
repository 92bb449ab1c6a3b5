"""Integers of a plan's tables as polynomials of a few sizes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from tallow.errors import CaptureError
from tallow.plan.tables import Polynomial, Tables


def _monomials(degrees: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(degree + 1) for degree in degrees)))


def _inverse(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss and Jordan, exactly."""
    n = len(rows)
    work = [[*row, *(Fraction(i == j) for j in range(n))] for i, row in enumerate(rows)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if work[k][i] != 0)
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [x / work[i][i] for x in work[i]]
        for k in range(n):
            if k != i and work[k][i]:
                work[k] = [a - work[k][i] * b for a, b in zip(work[k], work[i], strict=True)]
    return [row[n:] for row in work]


class Fit:
    """Integers as polynomials of sizes, from tables at several points.

    The points are all combinations of `points[name]`, as many of each as its degree and one; the
    last point is one more, at which the polynomials must hold.
    """

    def __init__(self, points: Mapping[str, Sequence[int]], check: Mapping[str, int]) -> None:
        self.names = list(points)
        grid = list(itertools.product(*points.values()))
        self._powers = _monomials([len(each) - 1 for each in points.values()])
        rows = [[self._at(powers, point) for powers in self._powers] for point in grid]
        self._inverse = _inverse([[Fraction(x) for x in row] for row in rows])
        self._check = tuple(check[name] for name in self.names)
        self.points = [dict(zip(self.names, p, strict=True)) for p in [*grid, self._check]]
        self._known: dict[tuple[int, ...], Polynomial | None] = {}

    @staticmethod
    def _at(powers: tuple[int, ...], point: tuple[int, ...]) -> int:
        found = 1
        for size, power in zip(point, powers, strict=True):
            found *= size**power
        return found

    def polynomial(self, seen: tuple[int, ...]) -> Polynomial | None:
        """Of what an integer was at the points; None where no polynomial of whole factors is it."""
        if len(set(seen)) == 1:
            return seen[0]
        if seen in self._known:
            return self._known[seen]
        factors = [sum(a * b for a, b in zip(row, seen, strict=False)) for row in self._inverse]
        whole = {p: int(f) for p, f in zip(self._powers, factors, strict=True) if f != 0}
        value = sum(f * self._at(p, self._check) for p, f in whole.items())
        good = value == seen[-1] and all(f.denominator == 1 for f in factors)
        self._known[seen] = found = whole if good else None
        return found

    def tables(self, seen: Sequence[Tables]) -> Tables:
        """Those of the first point, with the integers that vary.

        Raises:
            CaptureError: calls, real arguments or constants differ between the points, or an
                integer follows from the sizes in another way.
        """
        first, *others = seen
        outline = first.outline()
        for other in others:
            for mine, theirs in itertools.zip_longest(outline, other.outline()):
                if mine != theirs:
                    sizes = ", ".join(self.names)
                    raise CaptureError(
                        f"export: expected the same calls for every {sizes}, got {_said(mine)} "
                        f"and {_said(theirs)}"
                    )
        varying: dict[tuple[str, int, int], Polynomial] = {}
        for entries in zip(*(tables.integers() for tables in seen), strict=True):
            place = entries[0][0]
            values = tuple(value for _, value in entries)
            found = self.polynomial(values)
            if found is None:
                raise CaptureError(
                    f"export: expected sums of products of {', '.join(self.names)}, got "
                    f"{values} for {place[0]} of {self._where(first, place)}"
                )
            if not isinstance(found, int):
                varying[place] = found
        return Tables(
            first.buffers, first.values, first.calls, first.inputs, first.outputs, varying
        )

    @staticmethod
    def _where(tables: Tables, place: tuple[str, int, int]) -> str:
        kind, row, _ = place
        if kind != "integer":
            return f"{'buffer' if kind == 'bytes' else 'value'} {row}"
        for name, args in tables.calls:
            if row < len(args):
                return f"argument {row} of {name}"
            row -= len(args)
        raise AssertionError


def _said(part: Any) -> str:
    return "nothing" if part is None else str(part[0])
