"""How two sets of weights differ, tensor by tensor; block-quantised ones by what they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallow.errors import TallowError

if TYPE_CHECKING:
    import numpy as np

    from tallow.conversion.content import Entry
    from tallow.tensor import Tensor

CHUNK = 1 << 20  # elements at a time, so that tensors of any size are compared in tens of megabytes

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
    import numpy as np

    largest = squares = norm_a = norm_b = product = 0.0
    count = a.numel()
    with np.errstate(invalid="ignore", over="ignore"):
        for left, right in zip(_chunks(a), _chunks(b), strict=True):
            same = (left == right) | (np.isnan(left) & np.isnan(right))
            delta = np.where(same, 0.0, left - right)
            delta[np.isnan(delta)] = math.inf
            largest = max(largest, float(np.abs(delta).max(initial=0.0)))
            squares += float(np.vdot(delta, delta).real)
            norm_a += _dot(left, left)
            norm_b += _dot(right, right)
            product += _dot(left, right)
    relative = 0.0 if squares == 0 else math.sqrt(squares / norm_a) if norm_a else math.inf
    cosine = product / math.sqrt(norm_a * norm_b) if norm_a and norm_b else float(norm_a == norm_b)
    rmse = math.sqrt(squares / count) if count else 0.0
    return Gap(largest, rmse, relative, max(-1.0, min(1.0, cosine)))


def _dot(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """The product of the places where both are finite."""
    import numpy as np

    product = a * b.conj()
    return float(np.where(np.isfinite(product), product, 0).sum().real)


def _chunks(x: Tensor) -> Iterator[np.ndarray[Any, Any]]:
    """The elements in row-major order as float64 (complex128), at most `CHUNK` at a time."""
    import numpy as np

    from tallow.dtype import complex64, f32

    if not x.dtype.is_quantized:
        flat = x.reshape(-1)
        kind = np.complex128 if x.dtype is complex64 else np.float64
        for at in range(0, flat.shape[0], CHUNK):
            yield flat[at : at + CHUNK].numpy().astype(kind)
        return
    rows = x.reshape(-1, x.shape[-1])  # blocks lie in rows, so the cuts lie between them
    step = max(1, CHUNK // x.shape[-1])
    for at in range(0, rows.shape[0], step):
        yield rows[at : at + step].to(f32).numpy().astype(np.float64).reshape(-1)
