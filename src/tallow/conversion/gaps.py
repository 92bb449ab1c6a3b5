"""How two sets of weights differ, tensor by tensor; block-quantised ones by what they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import TallowError
from tallow.formats.writing import same_bytes
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import numpy as np

    from tallow.conversion.content import Entry
    from tallow.tensor import Tensor

CHUNK = 1 << 18  # elements that are taken at a time, whatever the size of a tensor
PIECE = 1 << 13  # of them at a time in f64: they stay in the cache, and no library starts threads

EQUAL, CLOSE, DIFFERENT, DTYPE = "equal", "close", "different", "dtype"
SHAPE, ONLY_A, ONLY_B, OPAQUE = "shape", "only in A", "only in B", "not comparable"
VERDICTS = (EQUAL, CLOSE, DTYPE, DIFFERENT, SHAPE, OPAQUE, ONLY_A, ONLY_B)


@dataclass(frozen=True)
class Gap:
    """How far the elements of `b` are from those of `a`.

    `relative` is the norm of the difference over that of `a`, `cosine` that of the angle between
    both. Nan at the same place on both sides is no difference; nan on one side alone makes
    `largest` infinite.
    """

    largest: float = 0.0
    rmse: float = 0.0
    relative: float = 0.0
    cosine: float = 1.0


@dataclass(frozen=True)
class Difference:
    """One tensor: `verdict`, what stands on either side, and the gap where there is one."""

    name: str
    verdict: str
    a: Entry | None
    b: Entry | None
    gap: Gap | None = None


def compare(
    a: Mapping[str, Entry], b: Mapping[str, Entry], *, tolerance: float | None = None
) -> Iterator[Difference]:
    """Compare tensors of the same name, in the order of `a`; then what only `b` has.

    Values differ by the smallest difference (the two zeros are equal), unless `tolerance` allows
    it: tensors are `close` whose largest absolute difference is not above it. Without `tolerance`
    the same values in another dtype are a difference too.
    """
    for name, entry in a.items():
        if name not in b:
            yield Difference(name, ONLY_A, entry, None)
        else:
            yield _pair(name, entry, b[name], tolerance)
    for name, entry in b.items():
        if name not in a:
            yield Difference(name, ONLY_B, None, entry)


def _pair(name: str, left: Entry, right: Entry, tolerance: float | None) -> Difference:
    if left.shape != right.shape:
        return Difference(name, SHAPE, left, right)
    try:
        gap = _gap(left.values(), right.values())
    except TallowError:  # a dtype that no kernel reads, such as 4-bit floats kept as bytes
        return Difference(name, OPAQUE, left, right)
    alike = gap.largest == 0
    if alike:
        verdict = EQUAL if tolerance is not None or left.dtype == right.dtype else DTYPE
    else:
        within = tolerance is not None and gap.largest <= tolerance
        verdict = CLOSE if within else DIFFERENT
    return Difference(name, verdict, left, right, gap)


def _gap(a: Tensor, b: Tensor) -> Gap:
    if same_bytes(a, b):
        return Gap()
    sums = _Sums()
    count = a.numel()
    for left, right in zip(_chunks(a), _chunks(b), strict=True):
        sums.add(left, right)
    relative = sums.relative()
    rmse = math.sqrt(sums.squares / count) if count else 0.0
    return Gap(sums.largest, rmse, relative, max(-1.0, min(1.0, sums.cosine())))


class _Sums:
    """What is summed over the chunks of two tensors."""

    def __init__(self) -> None:
        self.largest = self.squares = self.norm_a = self.norm_b = self.product = 0.0

    def add(self, left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> None:
        """Count two chunks in, a piece at a time."""
        for at in range(0, left.shape[0], PIECE):
            self._add(_wide(left[at : at + PIECE]), _wide(right[at : at + PIECE]))

    def _add(self, left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> None:
        import numpy as np

        with np.errstate(invalid="ignore", over="ignore"):
            if left.dtype != np.complex128:
                delta = left - right
                squares, norm_a, norm_b = (float(np.dot(x, x)) for x in (delta, left, right))
                # Finite sums of squares say that each element is finite, at no pass of its own.
                if math.isfinite(squares + norm_a + norm_b):
                    largest = max(float(delta.max(initial=0)), -float(delta.min(initial=0)))
                    product = float(np.dot(left, right))
                    self._count(largest, squares, norm_a, norm_b, product)
                    return
            same = (left == right) | (np.isnan(left) & np.isnan(right))
            delta = np.where(same, 0.0, left - right)
            delta[np.isnan(delta)] = math.inf
            largest = float(np.abs(delta).max(initial=0.0))
            squares = float(np.vdot(delta, delta).real)
            self._count(largest, squares, _dot(left, left), _dot(right, right), _dot(left, right))

    def _count(
        self, largest: float, squares: float, norm_a: float, norm_b: float, product: float
    ) -> None:
        self.largest = max(self.largest, largest)
        self.squares += squares
        self.norm_a += norm_a
        self.norm_b += norm_b
        self.product += product

    def relative(self) -> float:
        """The norm of the difference over that of `a`."""
        if self.squares == 0:
            return 0.0
        return math.sqrt(self.squares / self.norm_a) if self.norm_a else math.inf

    def cosine(self) -> float:
        """That of the angle between both."""
        if self.norm_a and self.norm_b:
            return self.product / math.sqrt(self.norm_a * self.norm_b)
        return float(self.norm_a == self.norm_b)


def _dot(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """The product of the places where both are finite."""
    import numpy as np

    product = a * b.conj()
    return float(np.where(np.isfinite(product), product, 0).sum().real)


def _wide(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return x.astype(np.complex128 if x.dtype == np.complex64 else np.float64)


def _chunks(x: Tensor) -> Iterator[np.ndarray[Any, Any]]:
    """The elements in row-major order, at most `CHUNK` at a time, in a dtype that is numpy's."""
    from tallow.dtype import f32

    if not x.dtype.is_quantized:
        flat = x.reshape(-1)
        small = x.dtype.kind == "f" and x.dtype.itemsize < 4
        for at in range(0, flat.shape[0], CHUNK):
            part = flat[at : at + CHUNK]
            yield (part.to(f32) if small else part).numpy()
        return
    rows = x.reshape(-1, x.shape[-1])  # blocks lie in rows, so the cuts lie between them
    step = max(1, CHUNK // x.shape[-1])
    for at in range(0, rows.shape[0], step):
        yield rows[at : at + step].to(f32).numpy().reshape(-1)
