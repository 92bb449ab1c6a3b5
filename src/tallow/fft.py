"""`tallow.fft`: Fourier transforms of f32 and complex64 tensors, as `torch.fft`."""

from __future__ import annotations

from typing import Any

from .registry import ROWS as _ROWS

__all__ = sorted(name.removeprefix("fft.") for name in _ROWS if name.startswith("fft."))


def __getattr__(name: str) -> Any:
    row = _ROWS.get(f"fft.{name}")
    if row is None:
        raise AttributeError(f"module 'tallow.fft' has no attribute {name!r}")
    found = globals()[name] = row.caller()
    return found


def __dir__() -> list[str]:
    return list(__all__)
