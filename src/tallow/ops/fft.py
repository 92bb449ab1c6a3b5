"""Fourier transforms by numpy's pocketfft: ops of `tallow.fft`, stft and istft.

Three primitives (complex, from real, to real) carry the gradients; everything else is resizing
and scaling around them. There is no complex128: f32 and complex64 are transformed, f64 is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..borrowing import from_numpy
from ..dtype import complex64, f32, f64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor
from .linalg_numpy import to_numpy
from .pad import constant_pad_nd
from .shape import axes_of, axis_of

NORMS = ("backward", "ortho", "forward")


# --- primitives -----------------------------------------------------------------------------------


@op
def complex_transform(input: Tensor, dims: Sequence[int], forward: bool, scale: float) -> Tensor:
    """`scale` times the sums of complex `input` with exp(-2 pi i jk / n), or + if not `forward`."""
    ...


@complex_transform.out
def _(input: Tensor, dims: Sequence[int], forward: bool, scale: float) -> Any:
    return input.shape, complex64


@complex_transform.kernel
def _(input: Tensor, dims: Sequence[int], forward: bool, scale: float) -> Tensor:
    import numpy as np

    x = to_numpy(input, "fft")
    if not dims:
        return from_numpy(x * np.float32(scale))
    run = np.fft.fftn if forward else np.fft.ifftn
    out = run(x, axes=tuple(dims), norm="backward" if forward else "forward")
    return from_numpy((out * np.float32(scale)).astype(np.complex64, copy=False))


@complex_transform.grad
def _(g: Tensor, _input: Tensor, dims: Sequence[int], forward: bool, scale: float) -> Tensor:
    return complex_transform(g, dims, not forward, scale)


@op
def real_transform(input: Tensor, dim: int, scale: float, inside: float = 1.0) -> Tensor:
    """The first half of the transform of real `input`; `inside` weighs what has a mirror image."""
    ...


@real_transform.out
def _(input: Tensor, dim: int, scale: float, inside: float) -> Any:
    return _cut(input, dim, input.shape[dim] // 2 + 1), complex64


@real_transform.kernel
def _(input: Tensor, dim: int, scale: float, inside: float = 1.0) -> Tensor:
    import numpy as np

    x = to_numpy(input, "rfft")
    out = np.fft.rfft(x, axis=dim) * np.float32(scale)
    if inside != 1:
        out[_mirrored(out.ndim, dim, x.shape[dim])] *= np.float32(inside)
    return from_numpy(out.astype(np.complex64, copy=False))


@real_transform.grad
def _(g: Tensor, _input: Tensor, dim: int, scale: float, inside: float) -> Tensor:
    return hermitian_transform(g, _input.shape[dim], dim, scale, inside / 2)


@op
def hermitian_transform(
    input: Tensor, n: int, dim: int, scale: float, inside: float = 1.0
) -> Tensor:
    """The real inverse (exp(+…)) of length `n` of a spectrum of which `input` is the first half."""
    ...


@hermitian_transform.out
def _(input: Tensor, n: int, dim: int, scale: float, inside: float) -> Any:
    return _cut(input, dim, n), f32


@hermitian_transform.kernel
def _(input: Tensor, n: int, dim: int, scale: float, inside: float = 1.0) -> Tensor:
    import numpy as np

    x = to_numpy(input, "irfft")
    if inside != 1:
        x = x.copy()
        x[_mirrored(x.ndim, dim, n)] *= np.float32(inside)
    out = np.fft.irfft(x, n, axis=dim, norm="forward") * np.float32(scale)
    return from_numpy(out.astype(np.float32, copy=False))


@hermitian_transform.grad
def _(g: Tensor, _input: Tensor, n: int, dim: int, scale: float, inside: float) -> Tensor:
    return real_transform(g, dim, scale, inside * 2)


@op
def paired_transform(input: Tensor, dim: int, forward: bool, scale: float) -> Tensor:
    """`complex_transform` along `dim` of f64 parts (…, 2): there is no complex128."""
    ...


@paired_transform.out
def _(input: Tensor, dim: int, forward: bool, scale: float) -> Any:
    return input.shape, f64


@paired_transform.kernel
def _(input: Tensor, dim: int, forward: bool, scale: float) -> Tensor:
    import numpy as np

    x = np.ascontiguousarray(to_numpy(input, "fft"))
    run = np.fft.fft if forward else np.fft.ifft
    out = run(x.view(np.complex128)[..., 0], axis=dim, norm="backward" if forward else "forward")
    return from_numpy((out * scale)[..., None].view(np.float64))


@paired_transform.grad
def _(g: Tensor, _input: Tensor, dim: int, forward: bool, scale: float) -> Tensor:
    return paired_transform(g, dim, not forward, scale)


def _cut(x: Tensor, dim: int, n: int) -> list[int]:
    """The shape of `x`, but with an axis of length `n`."""
    return [n if axis == dim % x.ndim else size for axis, size in enumerate(x.shape)]


def _mirrored(ndim: int, dim: int, n: int) -> tuple[slice, ...]:
    """The frequencies that stand for two: all but 0 and, of an even length, the last."""
    return tuple(slice(1, (n + 1) // 2) if i == dim else slice(None) for i in range(ndim))


# --- arguments ------------------------------------------------------------------------------------


def _scale(norm: str | None, count: int, forward: bool, where: object) -> float:
    kind = "backward" if norm is None else norm
    expect(kind in NORMS, where, f"a norm of {', '.join(NORMS)}", norm, ArgumentError)
    if kind == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (kind == "forward") == forward else 1.0


def _promoted(x: Tensor, where: object, *, real: bool = False) -> Tensor:
    """`x` as f32 or complex64."""
    kind = x.dtype.kind
    fits = kind in "biu" or x.dtype in (f32, complex64)
    expect(
        fits,
        where,
        "f32, complex64 or integers (there is no complex128)",
        x.dtype.name,
        NoKernelError,
    )
    if real:
        expect(kind != "c", where, "a real tensor", x.dtype.name, NoKernelError)
        return x.to(f32)
    return x.to(complex64)


def _resized(x: Tensor, dim: int, n: int) -> Tensor:
    """Axis `dim` cut, or filled up with zeros, to length `n`."""
    have = x.shape[dim]
    if n < have:
        return x.narrow(dim, 0, n)
    if n > have:
        return constant_pad_nd(x, [0, 0] * (x.ndim - 1 - dim) + [0, n - have], 0)
    return x


def _length(x: Tensor, n: int | None, dim: int, where: object) -> tuple[int, int]:
    expect(x.ndim > 0, where, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, x.ndim, where)
    length = x.shape[axis] if n is None else n
    expect(length >= 1, where, "a length of at least 1", length, ArgumentError)
    return axis, length


def _lengths(x: Tensor, s: Any, dim: Any, where: object) -> tuple[tuple[int, ...], list[int]]:
    """The axes (all, or the last of s, by default) and the lengths along them."""
    if hasattr(dim, "__index__"):
        dim = (dim,)
    if hasattr(s, "__index__"):
        s = (s,)
    if dim is None:
        dims = tuple(range(x.ndim)) if s is None else tuple(range(x.ndim - len(s), x.ndim))
        expect(s is None or len(s) <= x.ndim, where, f"at most {x.ndim} lengths", s)
    else:
        dims = axes_of(dim, x.ndim, where)
        expect(x.ndim > 0 or not dims, where, "at least one axis", "a 0-d tensor")
    given = [-1] * len(dims) if s is None else list(s)
    expect(len(given) == len(dims), where, f"{len(dims)} lengths", given, ArgumentError)
    sizes = [x.shape[d] if n == -1 else n for d, n in zip(dims, given, strict=True)]
    expect(all(n >= 1 for n in sizes), where, "lengths of at least 1", sizes, ArgumentError)
    return dims, sizes


def _count(sizes: Sequence[int]) -> int:
    out = 1
    for n in sizes:
        out *= n
    return out


# --- one axis -------------------------------------------------------------------------------------


def _complex_one(x: Tensor, n: Any, dim: int, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where)
    axis, length = _length(x, n, dim, where)
    return complex_transform(
        _resized(x, axis, length), (axis,), forward, _scale(norm, length, forward, where)
    )


@op(name="fft.fft")
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along `dim`, cut or zero-filled to length `n`."""
    return _complex_one(input, n, dim, norm, True, fft)


@op(name="fft.ifft")
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _complex_one(input, n, dim, norm, False, ifft)


def _from_real(x: Tensor, n: Any, dim: int, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where, real=True)
    axis, length = _length(x, n, dim, where)
    return real_transform(_resized(x, axis, length), axis, _scale(norm, length, forward, where))


def _to_real(x: Tensor, n: Any, dim: int, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where)
    expect(x.ndim > 0, where, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, x.ndim, where)
    length = 2 * (x.shape[axis] - 1) if n is None else n
    expect(length >= 1, where, "a length of at least 1", length, ArgumentError)
    half = _resized(x, axis, length // 2 + 1)
    return hermitian_transform(half, length, axis, _scale(norm, length, forward, where))


@op(name="fft.rfft")
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform of a real tensor: its first n // 2 + 1 frequencies, which settle the others."""
    return _from_real(input, n, dim, norm, True, rfft)


@op(name="fft.irfft")
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: real, of length `n` (2 (m - 1) by default)."""
    return _to_real(input, n, dim, norm, False, irfft)


@op(name="fft.hfft")
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real transform of a Hermitian signal given by its first half."""
    input = _promoted(input, hfft)
    return _to_real(input.conj(), n, dim, norm, True, hfft)


@op(name="fft.ihfft")
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return _from_real(input, n, dim, norm, False, ihfft).conj()


# --- several axes ---------------------------------------------------------------------------------


def _complex_many(x: Tensor, s: Any, dim: Any, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where)
    dims, sizes = _lengths(x, s, dim, where)
    for d, n in zip(dims, sizes, strict=True):
        x = _resized(x, d, n)
    return complex_transform(x, dims, forward, _scale(norm, _count(sizes), forward, where))


def _from_real_many(x: Tensor, s: Any, dim: Any, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where, real=True)
    dims, sizes = _lengths(x, s, dim, where)
    expect(len(dims) > 0, where, "at least one axis", dim, ArgumentError)
    for d, n in zip(dims, sizes, strict=True):
        x = _resized(x, d, n)
    out = real_transform(x, dims[-1], _scale(norm, _count(sizes), forward, where))
    if not forward:
        out = out.conj()
    return complex_transform(out, dims[:-1], forward, 1.0) if len(dims) > 1 else out


def _to_real_many(x: Tensor, s: Any, dim: Any, norm: Any, forward: bool, where: object) -> Tensor:
    x = _promoted(x, where)
    dims, sizes = _lengths(x, s, dim, where)
    expect(len(dims) > 0, where, "at least one axis", dim, ArgumentError)
    last = None if s is None else (s if hasattr(s, "__index__") else list(s)[-1])
    sizes[-1] = 2 * (x.shape[dims[-1]] - 1) if last in (None, -1) else sizes[-1]
    expect(sizes[-1] >= 1, where, "a length of at least 1", sizes[-1], ArgumentError)
    for d, n in zip(dims, (*sizes[:-1], sizes[-1] // 2 + 1), strict=True):
        x = _resized(x, d, n)
    scale = _scale(norm, _count(sizes), forward, where)
    if len(dims) > 1:
        x = complex_transform(x, dims[:-1], forward, 1.0)
    x = x.conj() if forward else x
    return hermitian_transform(x, sizes[-1], dims[-1], scale)


@op(name="fft.fftn")
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The Fourier transform along several axes, all by default, of lengths `s`."""
    return _complex_many(input, s, dim, norm, True, fftn)


@op(name="fft.ifftn")
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _complex_many(input, s, dim, norm, False, ifftn)


@op(name="fft.rfftn")
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The transform of a real tensor along several axes, the last one halved."""
    return _from_real_many(input, s, dim, norm, True, rfftn)


@op(name="fft.irfftn")
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _to_real_many(input, s, dim, norm, False, irfftn)


@op(name="fft.hfftn")
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The real transform of a signal that is Hermitian in the last of several axes."""
    return _to_real_many(input, s, dim, norm, True, hfftn)


@op(name="fft.ihfftn")
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return _from_real_many(input, s, dim, norm, False, ihfftn)


@op(name="fft.fft2")
def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` along the last two axes."""
    return _complex_many(input, s, dim, norm, True, fft2)


@op(name="fft.ifft2")
def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ifftn` along the last two axes."""
    return _complex_many(input, s, dim, norm, False, ifft2)


@op(name="fft.rfft2")
def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` along the last two axes."""
    return _from_real_many(input, s, dim, norm, True, rfft2)


@op(name="fft.irfft2")
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` along the last two axes."""
    return _to_real_many(input, s, dim, norm, False, irfft2)


@op(name="fft.hfft2")
def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` along the last two axes."""
    return _to_real_many(input, s, dim, norm, True, hfft2)


@op(name="fft.ihfft2")
def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ihfftn` along the last two axes."""
    return _from_real_many(input, s, dim, norm, False, ihfft2)
