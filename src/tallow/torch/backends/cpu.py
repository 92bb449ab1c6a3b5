"""torch.backends.cpu: the instruction set that the kernels use."""

from __future__ import annotations

from tallow import _native

_NAMES = {"baseline": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}


def get_cpu_capability() -> str:
    """PyTorch's name of the instruction set in use: "DEFAULT", "AVX2" or "AVX512"."""
    return _NAMES.get(_native.ISA, _native.ISA.upper())
