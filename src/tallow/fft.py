"""`tallow.fft`: Fourier transforms of f32 and complex64 tensors, as `torch.fft`."""

from __future__ import annotations

from .registry import namespace

__all__, __getattr__ = namespace(__name__)


def __dir__() -> list[str]:
    return list(__all__)
