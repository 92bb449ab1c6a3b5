"""Fourier transforms of whole signals and of windows of them."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import f32, f64
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.table import operator
from tallow.ops.fft import fft, ifft, irfft, paired_transform, rfft
from tallow.tensor import Tensor


def _number(given: Any) -> int:
    """A scalar that has been read; some exporters give it one axis."""
    return int(given[0] if isinstance(given, list) else given)


def _complex(where: str, x: Tensor) -> Tensor:
    """A last axis of 1 (real) or 2 elements as one complex or real number; f64 as pairs."""
    expect(x.shape[-1] in (1, 2), where, "a last axis of 1 or 2 elements", x.shape)
    if x.dtype is f64:
        return x if x.shape[-1] == 2 else ops.constant_pad_nd(x, [0, 1])
    wide = x.to(f32)
    return wide.squeeze(-1) if x.shape[-1] == 1 else wide.contiguous().view_as_complex()


def _pairs(x: Tensor, like: Tensor) -> Tensor:
    return x.view_as_real().to(like.dtype)


@operator("DFT", since=20, reads=("dft_length", "axis"))
def dft(
    x: Tensor, dft_length: Any = None, axis: Any = None, *, inverse: int = 0, onesided: int = 0
) -> Tensor:
    """The transform along an axis of real signals (…, 1) or complex ones (…, 2)."""
    return _dft(x, dft_length, -2 if axis is None else _number(axis), inverse, onesided)


@operator("DFT", since=17, until=19, reads=("dft_length",))
def dft_17(
    x: Tensor, dft_length: Any = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Tensor:
    """As `dft`; the axis is an attribute."""
    return _dft(x, dft_length, axis, inverse, onesided)


def _dft(x: Tensor, length: Any, axis: int, inverse: int, onesided: int) -> Tensor:
    good = x.ndim >= 2 and -x.ndim <= axis < x.ndim and axis % x.ndim != x.ndim - 1
    expect(good, "DFT", f"an axis of {x.shape} but the last", axis, ArgumentError)
    axis %= x.ndim
    n = None if length is None else _number(length)
    signal = _complex("DFT", x)
    if x.dtype is f64:
        return _dft_of_pairs(signal, n, axis, bool(inverse), bool(onesided))
    if inverse and onesided:
        return irfft(signal, n, axis).unsqueeze(-1).to(x.dtype)
    if inverse:
        return _pairs(ifft(signal, n, axis), x)
    return _pairs(_spectrum(signal, n, axis, bool(onesided)), x)


def _dft_of_pairs(x: Tensor, n: int | None, axis: int, inverse: bool, onesided: bool) -> Tensor:
    """The transform of f64 pairs."""
    real = inverse and onesided
    if n is None:
        n = 2 * (x.shape[axis] - 1) if real else x.shape[axis]
    expect(n > 0, "DFT", "a dft_length of at least 1", n, ArgumentError)
    given = n // 2 + 1 if real else n
    missing = [0, 0] * (x.ndim - 1 - axis) + [0, given - x.shape[axis]]
    x = ops.constant_pad_nd(x, missing)
    if real:  # the other half is its mirror image, conjugated
        mirrored = x.narrow(axis, 1, (n - 1) // 2).flip(axis) * x.new_tensor([1.0, -1.0])
        x = ops.cat([x, mirrored], axis)
    out = paired_transform(x, axis, not inverse, 1 / n if inverse else 1.0)
    if real:
        return out.narrow(-1, 0, 1)
    return out.narrow(axis, 0, n // 2 + 1) if onesided else out


def _spectrum(signal: Tensor, n: int | None, axis: int, onesided: bool) -> Tensor:
    """The transform, or its first half."""
    if not onesided:
        return fft(signal, n, axis)
    if signal.dtype.kind != "c":
        return rfft(signal, n, axis)
    whole = fft(signal, n, axis)
    return whole.narrow(axis, 0, whole.shape[axis] // 2 + 1)


@operator("STFT", since=17, reads=("frame_step", "frame_length"))
def stft(
    signal: Tensor, frame_step: Any, window: Tensor | None = None, frame_length: Any = None, *,
    onesided: int = 1,
) -> Tensor:  # fmt: skip
    """The transforms of frames of a signal: (batch, frames, frequencies, 2)."""
    where = "STFT"
    x = signal.unsqueeze(-1) if signal.ndim == 2 else signal
    expect(x.ndim == 3, where, "a signal (batch, length, 1 or 2)", signal.shape)
    step = _number(frame_step)
    expect(step > 0, where, "a frame_step above 0", step, ArgumentError)
    if frame_length is not None:
        length = _number(frame_length)
    else:
        length = x.shape[1] if window is None else window.shape[0]
    good = 0 < length <= x.shape[1]
    expect(good, where, f"a frame_length of 1 to {x.shape[1]}", length, ArgumentError)
    parts = [_frames(part, length, step, window) for part in x.unbind(-1)]
    return _dft(ops.stack(parts, -1), None, 2, 0, onesided)


def _frames(x: Tensor, length: int, step: int, window: Tensor | None) -> Tensor:
    """Pieces (batch, frames, length) of (batch, samples), times the window."""
    pieces = x.unfold(1, length, step)
    if window is None:
        return pieces
    fits = window.shape == (length,)
    expect(fits, "STFT", f"a window of shape ({length},)", window.shape)
    return pieces * window.to(x.dtype)
