"""Lengths as expressions of names, from what they were at several lengths of these names.

A length that follows from one name is a rounded fraction of it, `(n*p + r)//q` (padding, strides,
halves), one that follows from several a sum of products; whatever else it is, it stays unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from tallow.formats.onnx.graph import Dimension
from tallow.programs.tables import Fit

Point = tuple[int, ...]
# Shapes by name at lengths of all names; None where these lengths do not fit together.
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
Run = Callable[[dict[str, int]], "Shapes | None"]

_BASE: Final = 64  # a multiple of what strides come to
# Where fractions of up to 64 are rounded; some models take no lengths just above a multiple.
_NEAR: Final = (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 31, 33, 49, 57, 61, 62, 63)
_FAR: Final = (64, 192)
_MOST_NAMES: Final = 8
_MOST_MIXED: Final = 5  # names of which some are tried at length 1


class Solver:
    """Expressions for the lengths of all values, in the names given."""

    def __init__(self, names: Sequence[str], run: Run) -> None:
        self._names, self._run = list(names[:_MOST_NAMES]), run
        self._fixed = dict.fromkeys(names[_MOST_NAMES:], _BASE)
        self._seen: dict[Point, Shapes | None] = {}
        self._base: Point = ()
        self._tied: dict[int, int] = {}

    def solve(self) -> dict[str, tuple[str, tuple[Dimension, ...]]]:
        """Element types and shapes by name; a length is a number, an expression, or None."""
        count = len(self._names)
        for base in _bases(count):
            self._base = base
            first = self._at(base)
            if first is not None:
                break
        else:
            return {}
        along = [self._along(axis) for axis in range(count)]
        along = self._tie([axis for axis in range(count) if len(along[axis]) == 1], along)
        return {
            name: (kind, tuple(
                self._length(name, axis, length, along) for axis, length in enumerate(shape)
            ))
            for name, (kind, shape) in first.items()
        }  # fmt: skip

    def _at(self, point: Point) -> Shapes | None:
        if point not in self._seen:
            lengths = dict(zip(self._names, point, strict=True)) | self._fixed
            self._seen[point] = self._run(lengths)
        return self._seen[point]

    def _tie(self, stuck: list[int], along: list[dict[int, Shapes]]) -> list[dict[int, Shapes]]:
        """Let lengths change together that cannot change alone: one without a name is often two."""
        if len(stuck) < 2 or len({self._base[axis] for axis in stuck}) > 1:
            return along
        first, *others = stuck
        self._tied = dict.fromkeys(others, first)
        along[first] = self._along(first)
        return along

    def _with(self, axis: int, length: int) -> Point:
        return self._at_lengths({axis: length})

    def _at_lengths(self, lengths: Mapping[int, int]) -> Point:
        return tuple(lengths.get(self._tied.get(i, i), base) for i, base in enumerate(self._base))

    def _along(self, axis: int) -> dict[int, Shapes]:
        """What the shapes are at several lengths of one name: near ones only where rounded."""
        start = self._base[axis]
        found = {}

        def look(steps: Iterable[int]) -> None:
            for step in steps:
                shapes = self._at(self._with(axis, start + step))
                if shapes is not None:
                    found[start + step] = shapes

        look((0, *_FAR))
        if len(found) < 2:
            look(_NEAR)
            return found
        (one, before), *_, (other, after) = sorted(found.items())
        rounded = any(
            (m - n) % (other - one)
            for name, (_, shape) in before.items() if name in after
            for n, m in zip(shape, after[name][1], strict=False)
        )  # fmt: skip
        look(_NEAR if rounded else _NEAR[:1])
        return found

    def _length(self, name: str, axis: int, length: int, along: list[Any]) -> Dimension:
        seen: list[dict[int, int]] = []  # for each name: what this length is at those of it
        for each in along:
            values = {n: _pick(shapes, name, axis) for n, shapes in each.items()}
            known = {n: value for n, value in values.items() if value is not None}
            if len(known) < len(values):
                return None
            seen.append(known)
        used = [i for i, known in enumerate(seen) if set(known.values()) != {length}]
        if not used:
            return length
        if len(used) == 1:
            return fraction(self._names[used[0]], seen[used[0]])
        return self._product(name, axis, used)

    def _product(self, name: str, axis: int, used: list[int]) -> Dimension:
        """A sum of products of several names."""
        points = {self._names[i]: (self._base[i], self._base[i] + _FAR[0]) for i in used}
        fit = Fit(points, {self._names[i]: self._base[i] + _FAR[1] for i in used})
        values = []
        for point in fit.points:
            whole = self._at_lengths({i: point[self._names[i]] for i in used})
            values.append(_pick(self._at(whole), name, axis))
        if None in values:
            return None
        found = fit.polynomial(tuple(v for v in values if v is not None))
        return found if found is None or isinstance(found, int) else _sum_text(found, fit.names)


def _bases(count: int) -> Iterator[Point]:
    """Lengths to begin with: different ones first, for what two names have in common is not one's.

    Some models need long inputs, some a batch of 1, whatever their files say.
    """
    for length in (_BASE, 8 * _BASE):
        yield tuple(length * (i + 1) for i in range(count))
        yield (length,) * count
    if count <= _MOST_MIXED:
        for length in (_BASE, 8 * _BASE):
            yield from itertools.product(*((length * (i + 1), 1) for i in range(count)))
    yield (1,) * count


def _pick(shapes: Shapes | None, name: str, axis: int) -> int | None:
    if shapes is None or name not in shapes or axis >= len(shapes[name][1]):
        return None
    return shapes[name][1][axis]


def fraction(name: str, seen: Mapping[int, int]) -> str | None:
    """`k*((p*name + r)//q) + c` for values at lengths; None where no numbers, or several, do."""
    found = _fraction(name, seen)
    if found is not None:
        return found
    first = min(seen.values())
    factor = math.gcd(*(value - first for value in seen.values()))
    if factor < 2:
        return None
    rest = first % factor
    found = _fraction(name, {n: (value - rest) // factor for n, value in seen.items()})
    if found is None:
        return None
    return f"{factor}*({found})" + (f" + {rest}" if rest else "")


def _fraction(name: str, seen: Mapping[int, int]) -> str | None:
    first, last = min(seen), max(seen)
    if last - first < _BASE:
        return None
    start, end = seen[first], seen[last]
    slope = Fraction(end - start, last - first)
    p, q = slope.numerator, slope.denominator
    if q > _BASE:
        return None
    low = max(q * value - p * length for length, value in seen.items())
    high = min(q * value - p * length + q - 1 for length, value in seen.items())
    if low == high:
        return _fraction_text(name, p, low, q, exact=False)
    if low > high or len(seen) > len(_NEAR):
        return None
    # The model takes few lengths, at which all of these say the same.
    exact = [r for r in range(low, high + 1) if all((p * n + r) % q == 0 for n in seen)]
    return _fraction_text(name, p, exact[0] if exact else high, q, exact=len(exact) == 1)


def _fraction_text(name: str, p: int, r: int, q: int, *, exact: bool) -> str:
    times = name if p == 1 else f"{p}*{name}"
    whole, rest = divmod(r, q) if q > 1 and r % q == 0 else (0, r)
    plus = "" if rest == 0 else f" {'+' if rest > 0 else '-'} {abs(rest)}"
    if q == 1:
        return times + plus
    inner = times + plus if times + plus == name else f"({times}{plus})"
    more = "" if whole == 0 else f" {'+' if whole > 0 else '-'} {abs(whole)}"
    return f"{inner}{'/' if exact else '//'}{q}{more}"


def _sum_text(found: Mapping[tuple[int, ...], int], names: Sequence[str]) -> str:
    parts = []
    for powers, factor in sorted(found.items(), reverse=True):
        terms = [n for n, power in zip(names, powers, strict=True) for _ in range(power)]
        times = "*".join([*([str(abs(factor))] if abs(factor) != 1 or not terms else []), *terms])
        parts.append(("- " if factor < 0 else "+ ") + times)
    text = " ".join(parts)
    return text.removeprefix("+ ") if text[0] == "+" else "-" + text[2:]
