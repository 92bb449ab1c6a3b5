"""`tallow.linalg`: norms, products, factorisations and solvers of matrices, as `torch.linalg`."""

from __future__ import annotations

from typing import Any

from .registry import ROWS as _ROWS

__all__ = sorted(name.removeprefix("linalg.") for name in _ROWS if name.startswith("linalg."))


def __getattr__(name: str) -> Any:
    row = _ROWS.get(f"linalg.{name}")
    if row is None:
        raise AttributeError(f"module 'tallow.linalg' has no attribute {name!r}")
    found = globals()[name] = row.caller()
    return found


def __dir__() -> list[str]:
    return list(__all__)
