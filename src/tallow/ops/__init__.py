"""The ops: every row of the registry, as functions. See `tallow.registry` for how a row is made."""

from __future__ import annotations

from typing import Any

from ..registry import ROWS, install
from . import activation, attention, complexes, convert, elementwise, extreme, join, linalg, norm, reduce, sampling, shape, softmax, special
from . import index, random, scan, scatter, search, sort
from . import distance, loss, loss_ctc, loss_margin, normalization
from . import conv, grid, pool, resample
from . import creation, einsum, fft, linalg_lapack, linalg_norm, linalg_solve, pad, stft

install()
elementwise.install_operators()
__all__ = [name for name in ROWS if "." not in name]

# A module named like one of its ops makes way for the op.
for _name in set(__all__) & set(globals()):
    del globals()[_name]


def __getattr__(name: str) -> Any:
    """The caller of a row, built when it is first asked for."""
    row = ROWS.get(name)
    if row is None or "." in name:
        raise AttributeError(f"module 'tallow.ops' has no attribute {name!r}")
    made = row.caller()
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
