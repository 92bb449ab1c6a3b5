"""Short-time Fourier transforms: overlapping windowed pieces of a signal, and back."""

from __future__ import annotations

from ..dtype import f32
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import ones
from ..registry import op
from ..tensor import Tensor, has_values
from .fft import fft, ifft, irfft, rfft
from .pad import constant_pad_nd, pad
from .strided import add_strided


def _window(
    x: Tensor, window: Tensor | None, n_fft: int, win_length: int | None, where: object
) -> Tensor:
    """The window, with zeros on both sides up to `n_fft`."""
    length = n_fft if win_length is None else win_length
    fits = 0 < length <= n_fft
    expect(fits, where, f"a win_length in [1, {n_fft}]", length, ArgumentError)
    kind = f32 if x.dtype.kind == "c" else x.dtype
    made = ones(length, dtype=kind) if window is None else window
    expect(made.shape == (length,), where, f"a window of shape ({length},)", made.shape)
    left = (n_fft - length) // 2
    return constant_pad_nd(made, (left, n_fft - length - left)) if length < n_fft else made


def _hop(hop_length: int | None, n_fft: int, where: object) -> int:
    hop = n_fft // 4 if hop_length is None else hop_length
    expect(n_fft > 0, where, "n_fft above 0", n_fft, ArgumentError)
    expect(hop > 0, where, "a hop_length above 0", hop, ArgumentError)
    return hop


@op
def stft(
    x: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
) -> Tensor:  # fmt: skip
    """Spectra of the pieces of a signal (…, length): (…, frequencies, pieces).

    Pieces of `n_fft` samples begin every `hop_length` (a quarter of n_fft), times `window`; with
    `center` the signal is padded so that the middle of piece t is at t * hop_length. A real signal
    gives the first n_fft // 2 + 1 frequencies unless `onesided` is off. Without `return_complex`
    there is a last axis with real and imaginary parts. Allen & Rabiner 1977.
    """
    expect(x.ndim in (1, 2), stft, "a signal of shape (length,) or (batch, length)", x.shape)
    expect(x.dtype.kind in "fc", stft, "a float or complex signal", x.dtype.name, NoKernelError)
    hop = _hop(hop_length, n_fft, stft)
    is_complex = x.dtype.kind == "c" or (window is not None and window.dtype.kind == "c")
    halved = not is_complex if onesided is None else onesided
    allowed = not (halved and is_complex)
    expect(allowed, stft, "onesided=False for complex signals", onesided, ArgumentError)
    chosen = return_complex is not None or is_complex
    expect(chosen, stft, "return_complex for a real signal", None, ArgumentError)
    signal = x.unsqueeze(0) if x.ndim == 1 else x
    if center:
        half = n_fft // 2
        signal = pad(signal.unsqueeze(1), (half, half), pad_mode).squeeze(1)
    n = signal.shape[1]
    expect(n >= n_fft, stft, f"at least {n_fft} samples", n, ArgumentError)
    taper = _window(x, window, n_fft, win_length, stft)
    pieces = signal.unfold(1, n_fft, hop) * taper
    norm = "ortho" if normalized else "backward"
    out = (rfft if halved else fft)(pieces, norm=norm).transpose(1, 2)
    out = out.squeeze(0) if x.ndim == 1 else out
    return out.view_as_real() if return_complex is False else out


@op
def istft(
    x: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal with the spectra `x` (…, frequencies, pieces), in the least-squares sense.

    Pieces are added where they overlap and divided by the sum of the squared windows there, which
    must not be 0 (Griffin & Lim 1984). `length` cuts the signal or fills it up with zeros.
    """
    expect(x.dtype.kind == "c", istft, "a complex spectrum", x.dtype.name, NoKernelError)
    expect(x.ndim in (2, 3) and x.numel() > 0, istft, "(…, frequencies, pieces)", x.shape)
    hop = _hop(hop_length, n_fft, istft)
    halved = x.shape[-2] != n_fft if onesided is None else onesided
    bins = n_fft // 2 + 1 if halved else n_fft
    expect(x.shape[-2] == bins, istft, f"{bins} frequencies", x.shape[-2])
    allowed = not (return_complex and halved)
    expect(allowed, istft, "onesided=False for a complex signal", onesided, ArgumentError)
    taper = _window(x, window, n_fft, win_length, istft)
    spectra = (x.unsqueeze(0) if x.ndim == 2 else x).transpose(1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        pieces = ifft(spectra, norm=norm)
    else:  # of a real signal the second half says nothing new, and is not read
        pieces = irfft(spectra.narrow(2, 0, n_fft // 2 + 1), n_fft, norm=norm)
    pieces = pieces * taper
    batch, count = pieces.shape[:2]
    total = n_fft + hop * (count - 1)
    signal = add_strided(pieces, (batch, total), pieces.shape, (total, hop, 1), 0)
    squares = (taper * taper).expand(count, n_fft)
    weight = add_strided(squares, (total,), squares.shape, (hop, 1), 0)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else start + length
    stop = min(end, total)
    expect(start < stop, istft, "at least one sample", (start, end), ArgumentError)
    weight = weight.narrow(0, start, stop - start)
    least = weight.abs().amin().item() if has_values(weight) else 1.0
    expect(
        least > 1e-11, istft, "windows whose squares add up to more than 0", least, ArgumentError
    )
    out = signal.narrow(1, start, stop - start) / weight
    if end > total:
        out = constant_pad_nd(out, (0, end - total))
    return out.squeeze(0) if x.ndim == 2 else out
