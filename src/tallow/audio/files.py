"""load_audio and save_audio: PCM wav by Python's own module, other files by soundfile."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.audio.resampling import resample
from tallow.audio.samples import as_mono, as_pcm
from tallow.borrowing import from_numpy, frombuffer
from tallow.dtype import f32, i16, i32, u8
from tallow.errors import ArgumentError, FormatError, MissingExtraError, MissingFileError, expect
from tallow.factories import zeros
from tallow.formats.writing import tensor_bytes, write_to
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from tallow.formats.writing import Target

_AT_ONCE = 1 << 20  # frames that are decoded together, for the memory
_ENDLESS = 0x7FFFF000  # bytes: programs that write to pipes say this or more, not knowing the end


class Sound(NamedTuple):
    """Samples in f32, `(length,)` or `(channels, length)`, and how many there are a second."""

    samples: Tensor
    rate: int


def load_audio(source: Any, rate: int | None = None, *, mono: bool = True) -> Sound:
    """The sound in a file: a path, its bytes, or an open binary file.

    With `mono` the samples are the mean of the channels, `(length,)`, and `rate` asks for another
    sample rate (the package soxr). PCM wav of 8 to 32 bits needs no package, other formats
    (FLAC, Ogg, MP3, wav of floats) need soundfile.

    Raises:
        FormatError, MissingFileError: the file is no sound, or is broken.
        MissingExtraError: a package is needed that is not installed.
    """
    wanted = "mono=True with a rate"
    expect(mono or rate is None, "load_audio", wanted, f"rate={rate}", ArgumentError)
    raw, name = _content(source)
    is_wav = raw[:4] == b"RIFF" and raw[8:12] == b"WAVE"
    found = _by_wave(raw, name) if is_wav else None
    samples, own = _by_soundfile(raw, name) if found is None else found
    if not mono:
        return Sound(samples, own)
    samples = samples[0].contiguous() if samples.shape[0] == 1 else as_mono(samples)
    return Sound(samples if rate is None else resample(samples, own, rate), rate or own)


def save_audio(target: Target, samples: Any, rate: int) -> None:
    """Write samples as wav of 16 bits: to a path, as a whole or not at all, or to an open file.

    `samples` are `(length,)` or `(channels, length)`, i16 or floats; floats beyond -1 and 1 are
    cut.

    Raises:
        ShapeError, DTypeError, ArgumentError: they are no samples, too many (4 GB), or the rate is
            none.
        FormatError: the path cannot be written.
    """
    expect(0 < rate < 1 << 31, "save_audio", "a rate above 0", rate, ArgumentError)
    pcm = as_pcm(samples, "save_audio")
    rows = pcm.reshape(1, -1) if pcm.ndim == 1 else pcm
    most = (1 << 32) - 64  # what the header has room for
    expect(rows.nbytes < most, "save_audio", f"{most} bytes at most", rows.nbytes, ArgumentError)
    good = 0 < rows.shape[0] < 1 << 16
    expect(good, "save_audio", "1 to 65535 channels", rows.shape[0], ArgumentError)
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(rows.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        for piece in tensor_bytes(rows.T.contiguous()):
            file.writeframesraw(piece)
    write_to(target, [made.getbuffer()])


def _content(source: Any) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "bytes"
    if hasattr(source, "read"):
        file: BinaryIO = source
        return file.read(), str(getattr(file, "name", "file"))
    good = isinstance(source, str | os.PathLike)
    wanted = "a path, bytes or an open file"
    expect(good, "load_audio", wanted, type(source).__name__, ArgumentError)
    path = Path(source)
    try:
        if path.exists() and path.is_dir():
            raise FormatError(path, "file", "a sound", "a folder")
        return path.read_bytes(), str(path)
    except FileNotFoundError:
        raise MissingFileError(path, "file", "a sound", "nothing") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "file", "a readable file", error) from None


def _by_wave(raw: bytes, name: str) -> tuple[Tensor, int] | None:
    """Samples `(channels, length)` and rate of PCM; None where the wav holds something else."""
    try:
        with wave.open(io.BytesIO(raw), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            if width not in _DECODERS or rate <= 0:
                raise FormatError(name, "wav", "1 to 4 bytes a sample and a rate", (width, rate))
            size, count = channels * width, file.getnframes()
            # The head may say more frames than there are.
            made, got = zeros(min(count, len(raw) // size) * channels), 0
            while part := file.readframes(_AT_ONCE):
                whole = len(part) // size * size
                if whole:
                    start = got // width
                    made[start : start + whole // width] = _DECODERS[width](part[:whole])
                got += len(part)
    except FormatError:
        raise
    except wave.Error as error:
        if str(error).startswith("unknown format"):
            return None
        raise FormatError(name, "wav", "a whole wav file", error) from None
    except (EOFError, RuntimeError, ValueError, ArithmeticError) as error:
        raise FormatError(name, "wav", "a whole wav file", str(error) or "its end") from None
    if got < count * size < _ENDLESS:
        raise FormatError(name, "data", f"{count * size} bytes", f"{got}, then the end")
    return made[: got // size * channels].reshape(-1, channels).T, rate


def _bits24(raw: bytes) -> Tensor:
    """As the upper three bytes of i32."""
    from tallow.ops import cat

    x = frombuffer(bytearray(raw), dtype=u8).reshape(-1, 3)
    wide = cat([zeros(x.shape[0], 1, dtype=u8), x], 1).contiguous()
    return wide.view(i32).reshape(-1).to(f32) / 2**31


_DECODERS: dict[int, Callable[[bytes], Tensor]] = {
    1: lambda raw: (frombuffer(bytearray(raw), dtype=u8).to(f32) - 128) / 128,
    2: lambda raw: frombuffer(bytearray(raw), dtype=i16).to(f32) / 32768,
    3: _bits24,
    4: lambda raw: frombuffer(bytearray(raw), dtype=i32).to(f32) / 2**31,
}


_MOST = 1 << 32  # samples of all channels: a day at 48000 Hz


def _by_soundfile(raw: bytes, name: str) -> tuple[Tensor, int]:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError(
            f"{name}: sound that is no PCM wav needs soundfile: pip install 'tallow[audio]'"
        ) from error
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            rate, count = file.samplerate, file.frames * file.channels
            if count > _MOST:  # as its head says, for which memory is taken
                raise FormatError(name, "file", f"at most {_MOST} samples", count)
            found = file.read(dtype="float32", always_2d=True)
    except FormatError:
        raise
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError) as error:
        why = getattr(error, "error_string", error)  # without the name of our buffer
        raise FormatError(name, "file", "a sound", why) from None
    return from_numpy(found).T, int(rate)
