"""torch.signal.windows: windows, symmetric unless told otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.dtype import f64
from tallow.factories import arange, ones, tensor
from tallow.tensor import Tensor
from tallow.torch._settings import get_default_dtype


def _points(M: int, sym: bool) -> Tensor:
    """0 … 1 over the window; a periodic one ends one step later."""
    steps = (M if not sym else M - 1) or 1
    return arange(M, dtype=f64) / steps


def _made(values: Tensor, dtype: Any, requires_grad: bool) -> Tensor:
    out = values.to(dtype or get_default_dtype())
    return out.requires_grad_() if requires_grad else out


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A sum of cosines with these weights and alternating signs."""
    if M == 1:
        return _made(ones(1, dtype=f64), dtype, requires_grad)
    at = _points(M, sym) * (2 * math.pi)
    parts = [((-1) ** i * weight) * ops.cos(at * i) for i, weight in enumerate(a)]
    return _made(sum(parts[1:], parts[0]), dtype, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, **options: Any) -> Tensor:
    """`alpha - (1 - alpha) cos`."""
    return general_cosine(M, a=[alpha, 1 - alpha], **options)


def hamming(M: int, **options: Any) -> Tensor:
    """Hamming's window."""
    return general_hamming(M, **options)


def hann(M: int, **options: Any) -> Tensor:
    """Hann's window."""
    return general_hamming(M, alpha=0.5, **options)


def blackman(M: int, **options: Any) -> Tensor:
    """Blackman's window."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], **options)


def nuttall(M: int, **options: Any) -> Tensor:
    """Nuttall's window."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], **options)


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Bartlett's triangle."""
    if M == 1:
        return _made(ones(1, dtype=f64), dtype, requires_grad)
    return _made(1 - (2 * _points(M, sym) - 1).abs(), dtype, requires_grad)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Half a period of a sine."""
    steps = M if sym or M <= 1 else M + 1
    at = (arange(M, dtype=f64) + 0.5) * (math.pi / max(steps, 1))
    return _made(ops.sin(at), dtype, requires_grad)


def _centred(M: int, sym: bool) -> Tensor:
    return arange(M, dtype=f64) - ((M if not sym and M > 1 else M - 1) / 2)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A Gaussian of this width."""
    at = _centred(M, sym) / (std * math.sqrt(2))
    return _made(ops.exp(-(at * at)), dtype, requires_grad)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`exp(-|n - center| / tau)`."""
    middle = ((M if not sym and M > 1 else M - 1) / 2) if center is None else center
    return _made(ops.exp(-(arange(M, dtype=f64) - middle).abs() / tau), dtype, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Kaiser's window."""
    if M == 1:
        return _made(ones(1, dtype=f64), dtype, requires_grad)
    at = 2 * _points(M, sym) - 1
    inside = (beta * (1 - at * at).clamp(min=0).sqrt()).to(f64)
    return _made(ops.i0(inside) / ops.i0(tensor(beta, dtype=f64)), dtype, requires_grad)
