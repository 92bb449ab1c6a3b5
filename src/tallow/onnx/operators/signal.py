"""Fourier transforms of whole signals and of windows of them."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import f32, f64
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.fourier import real_inverse, transform
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


def _number(given: Any) -> int:
    """A scalar that has been read; some exporters give it one axis."""
    return int(given[0] if isinstance(given, list) else given)


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
    expect(x.shape[-1] in (1, 2), "DFT", "a last axis of 1 or 2 elements", x.shape)
    real = bool(inverse and onesided)  # of one half, to real numbers
    signal = x if x.dtype is f64 else x.to(f32)
    signal = signal.movedim(axis, -2)
    have = signal.shape[-2]
    if length is None:
        n = 2 * (have - 1) if real else have
    else:
        n = _number(length)
    expect(n > 0, "DFT", "a dft_length of at least 1", n, ArgumentError)
    missing = (n // 2 + 1 if real else n) - have
    added = 2 - x.shape[-1] if real else 0
    if missing > 0 or added:
        signal = ops.constant_pad_nd(signal, [0, added, 0, max(missing, 0)])
    if missing < 0:
        signal = signal.narrow(-2, 0, have + missing)
    if real:
        out = real_inverse(signal, n)
    else:
        out = transform(signal, forward=not inverse, half=bool(onesided))
    return out.movedim(-2, axis).to(x.dtype)


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
