"""Whether a result of Tallow agrees with torch's, and if not, why, in one line."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

import tallow as tl
from opinfo_copies import TALLOW, flat, to_torch


def differ(
    ours: Any, theirs: Any, values: bool = True, precise: Any = None, normwise: bool = False
) -> str:
    """What is wrong with `ours`, or ""; `precise` gives torch's result in f64 when it is needed."""
    p, q = flat(ours), flat(theirs)
    if len(p) != len(q):
        return f"{len(q)} results expected, got {len(p)}"
    for i, (mine, wanted) in enumerate(zip(p, q, strict=True)):
        if isinstance(wanted, torch.Tensor):
            exact = (lambda i=i: flat(precise())[i]) if precise else None
            said = _differ(mine, wanted, values, exact, normwise)
        elif isinstance(wanted, torch.dtype):
            said = "" if TALLOW.get(wanted) == mine else f"expected {wanted}, got {mine!r}"
        elif isinstance(wanted, bool | int | float | complex):
            mine = mine.item() if isinstance(mine, tl.Tensor) and type(wanted) is not bool else mine
            same = mine == wanted or (mine != mine and wanted != wanted)
            close = type(wanted) in (float, complex) and not same and np.allclose(mine, wanted)
            said = "" if same or close or not values else f"expected {wanted!r}, got {mine!r}"
        else:
            said = (
                "" if (mine is None) == (wanted is None) else f"expected {wanted!r}, got {mine!r}"
            )
        if said:
            return said if len(q) == 1 else f"result {i}: {said}"
    return ""


def _differ(mine: Any, wanted: torch.Tensor, values: bool, precise: Any, normwise: bool) -> str:
    if not isinstance(mine, tl.Tensor):
        return f"expected a tensor {tuple(wanted.shape)}, got {type(mine).__name__}"
    if tuple(mine.shape) != tuple(wanted.shape):
        return f"expected shape {tuple(wanted.shape)}, got {tuple(mine.shape)}"
    if TALLOW.get(wanted.dtype) is not mine.dtype:
        return f"expected dtype {wanted.dtype}, got {mine.dtype!r}"
    if not values:
        return ""
    got = to_torch(mine)
    wanted = wanted.detach().resolve_conj().resolve_neg().contiguous()
    try:
        torch.testing.assert_close(got, wanted, equal_nan=True)
        return ""
    except AssertionError as error:
        said = str(error)
    if precise is not None and wanted.dtype in LOW_TOLERANCE:
        with contextlib.suppress(Exception):
            if _as_near(got, wanted, precise(), normwise):
                return ""
    return short(said, got, wanted)


LOW_TOLERANCE = {
    torch.float64: 1e-7,
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
    torch.float32: 1.3e-6,
    torch.complex64: 1.3e-6,
}


def _as_near(got: torch.Tensor, wanted: torch.Tensor, truth: torch.Tensor, normwise: bool) -> bool:
    """Whether `got` lies about as near to the f64 result as torch's own low-precision one does.

    `normwise`: errors count relative to the largest element, as the error of a factorisation does.
    """
    tolerance = LOW_TOLERANCE[wanted.dtype]
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    kind = wanted.dtype
    got, wanted, truth = got.to(wide), wanted.to(wide), truth.detach().to(wide)
    truth = torch.where(torch.isinf(truth.to(kind).to(wide)), truth.to(kind).to(wide), truth)
    fine = torch.isclose(got, wanted, rtol=0, atol=0, equal_nan=True)
    fine |= torch.isclose(got, truth, rtol=tolerance, atol=1e-5, equal_nan=True)
    error, theirs = (got - truth).abs(), (wanted - truth).abs()
    spread = theirs[torch.isfinite(theirs)]
    most = float(spread.max()) if spread.numel() else 0.0
    size = truth.abs()
    if normwise and size.numel():
        size = torch.where(torch.isfinite(size), size, torch.zeros_like(size)).max()
        tolerance *= 10
    fine |= error <= 2 * most + tolerance * size
    return bool(fine.all())


def short(said: str, got: torch.Tensor, wanted: torch.Tensor) -> str:
    """The mismatch in one line."""
    lines = [
        line.strip() for line in said.splitlines() if "ifference" in line or "ismatched" in line
    ]
    if wanted.numel() <= 6:
        return f"expected {wanted.tolist()}, got {got.tolist()}"
    bad = ~torch.isclose(got, wanted, rtol=1e-3, atol=1e-3, equal_nan=True)
    if bad.any():
        at = tuple(bad.nonzero()[0].tolist())
        return f"at {at} expected {wanted[at].item():.6g}, got {got[at].item():.6g}; {lines[0]}"
    return "; ".join(lines[:2])
