"""Frequencies of Fourier transforms, and shifts that put 0 in the middle: ops of `tallow.fft`."""

from __future__ import annotations

from typing import Any

from ..dtype import Default, DTypeLike
from ..errors import ArgumentError, expect
from ..factories import arange
from ..registry import op
from ..tensor import Tensor
from .creation import finish
from .shape import axes_of


@op(name="fft.fftfreq")
def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: DTypeLike = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of `fft` in cycles per unit of the sample distance `d`."""
    expect(n >= 1, fftfreq, "a length of at least 1", n, ArgumentError)
    from .join import cat

    k = cat([arange((n + 1) // 2), arange(-(n // 2), 0)])
    return finish(
        k.double() * (1 / (n * d)), Default.float if dtype is None else dtype, requires_grad
    )


@op(name="fft.rfftfreq")
def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: DTypeLike = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of `rfft`."""
    expect(n >= 1, rfftfreq, "a length of at least 1", n, ArgumentError)
    k = arange(n // 2 + 1).double() * (1 / (n * d))
    return finish(k, Default.float if dtype is None else dtype, requires_grad)


@op(name="fft.fftshift")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Axes (all by default) rolled so that frequency 0 stands in the middle."""
    dims = tuple(range(input.ndim)) if dim is None else axes_of(dim, input.ndim, fftshift)
    return input.roll([input.shape[d] // 2 for d in dims], dims) if dims else input.clone()


@op(name="fft.ifftshift")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    dims = tuple(range(input.ndim)) if dim is None else axes_of(dim, input.ndim, ifftshift)
    return input.roll([-(input.shape[d] // 2) for d in dims], dims) if dims else input.clone()
