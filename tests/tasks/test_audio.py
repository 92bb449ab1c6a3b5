"""load_audio and save_audio: PCM wav without a package, other files with soundfile."""

from __future__ import annotations

import io
import random
import struct
import sys
import wave

import numpy as np
import pytest

import tallow as tl
from tallow.audio import as_pcm, load_audio, resample, save_audio
from tallow.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    MissingExtraError,
    MissingFileError,
    TallowError,
)

VALUES = np.array([[0, 0.5, -0.5, 0.25, -1], [0.125, -0.25, 0.75, 0, 0.5]])


def pcm(values: np.ndarray, width: int) -> bytes:
    """A wav of samples `(channels, length)` of so many bytes."""
    made = io.BytesIO()
    numbers = np.round(values.T * 2 ** (8 * width - 1)).astype(np.int64).reshape(-1)
    with wave.open(made, "wb") as file:
        file.setparams((len(values), width, 8000, 0, "NONE", ""))
        shift = 128 if width == 1 else 0
        file.writeframes(
            b"".join(int(n + shift).to_bytes(width, "little", signed=width > 1) for n in numbers)
        )
    return made.getvalue()


@pytest.fixture
def bare(monkeypatch):
    """Neither soundfile nor soxr is installed."""
    monkeypatch.setitem(sys.modules, "soundfile", None)
    monkeypatch.setitem(sys.modules, "soxr", None)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_pcm_of_all_widths(width, channels, bare, tmp_path):
    values = VALUES[:channels]
    path = tmp_path / "a.wav"
    path.write_bytes(pcm(values, width))
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        samples, rate = load_audio(source)
        assert rate == 8000
        assert samples.dtype == tl.f32
        assert samples.tolist() == values.mean(0).tolist()
        assert load_audio(path, mono=False).samples.tolist() == values.tolist()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pieces_are_the_whole(width, bare, monkeypatch):
    raw = pcm(VALUES, width)
    want = load_audio(raw, mono=False).samples.numpy()
    monkeypatch.setattr("tallow.audio.files._AT_ONCE", 7)
    np.testing.assert_array_equal(load_audio(raw, mono=False).samples.numpy(), want)


def test_saving(bare, tmp_path):
    wanted = [0.0, 0.5, -0.5, 1.0, -1.0]
    save_audio(tmp_path / "a.wav", tl.tensor([0.0, 0.5, -0.5, 3.0, -2.0]), 16000)
    found, rate = load_audio(tmp_path / "a.wav")
    assert rate == 16000
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)
    whole = tl.tensor([1, -32768, 32767], dtype=tl.i16)
    file = io.BytesIO()
    save_audio(file, whole, 8000)
    assert (load_audio(file.getvalue()).samples * 32768).tolist() == whole.tolist()
    save_audio(tmp_path / "b.wav", tl.tensor(VALUES.tolist()), 8000)
    found = load_audio(tmp_path / "b.wav", mono=False).samples
    np.testing.assert_allclose(found.numpy(), VALUES, atol=1e-4)
    save_audio(tmp_path / "c.wav", [0.0, 0.5], 8000)
    save_audio(tmp_path / "d.wav", tl.zeros(0), 8000)
    assert load_audio(tmp_path / "c.wav").samples.shape == (2,)
    assert load_audio(tmp_path / "d.wav").samples.shape == (0,)
    assert as_pcm(tl.tensor([1.0, -1.0, 0.0])).tolist() == [32767, -32767, 0]


def test_wavs_from_pipes_say_no_length(bare):
    raw = bytearray(pcm(VALUES[:1], 2))
    where = raw.index(b"data") + 4
    raw[where : where + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert load_audio(bytes(raw)).samples.tolist() == VALUES[0].tolist()


def test_broken_files(bare, tmp_path):
    whole = pcm(VALUES, 2)
    for cut in (13, 20, 30, 40, len(whole) - 1):
        with pytest.raises(FormatError, match="expected"):
            load_audio(whole[:cut])
    with pytest.raises(MissingFileError, match="nope.wav: file: expected a sound, got nothing"):
        load_audio(tmp_path / "nope.wav")
    with pytest.raises(FormatError, match="got a folder"):
        load_audio(tmp_path)
    with pytest.raises(ArgumentError, match="a path, bytes or an open file"):
        load_audio(3)
    with pytest.raises(DTypeError, match="floats or i16"):
        save_audio(tmp_path / "a.wav", tl.tensor([1, 2]), 8000)
    with pytest.raises(ArgumentError, match="a rate above 0"):
        save_audio(tmp_path / "a.wav", tl.tensor([0.0]), 0)
    with pytest.raises(ArgumentError, match="1 to 65535 channels, got 0"):
        save_audio(tmp_path / "a.wav", tl.zeros(0, 3), 8000)
    with pytest.raises(FormatError, match="a file that can be written"):
        save_audio(tmp_path / "no" / "a.wav", tl.tensor([0.0]), 8000)
    assert not list(tmp_path.iterdir())


def test_mutated_files_are_read_or_refused(bare):
    draw, outcomes = random.Random(7), {"read": 0, "refused": 0}
    for _ in range(2000):
        raw = bytearray(pcm(VALUES, draw.choice([1, 2, 3, 4])))
        for _ in range(draw.choice([1, 1, 3])):
            place = draw.randrange(len(raw))
            raw[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(1, 4))
        try:
            load_audio(bytes(raw))
        except TallowError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > 100, "both outcomes are reached"


def test_without_packages_one_error_names_them(bare):
    line = r"pip install 'tallow\[audio\]'"
    with pytest.raises(MissingExtraError, match=line):
        load_audio(b"fLaC")
    with pytest.raises(MissingExtraError, match=line):
        load_audio(pcm(VALUES, 2), 16000)
    assert load_audio(pcm(VALUES, 2), 8000).rate == 8000


def test_other_formats(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for name, kind in (("a.flac", "PCM_24"), ("a.wav", "FLOAT")):
        soundfile.write(tmp_path / name, VALUES.T, 8000, subtype=kind)
        found = load_audio(tmp_path / name, mono=False)
        np.testing.assert_allclose(found.samples.numpy(), VALUES, atol=1e-6)
    with pytest.raises(FormatError, match="bytes: file: expected a sound, got (?!.*BytesIO)"):
        load_audio(b"no sound at all")


def test_resampling_keeps_a_tone():
    pytest.importorskip("soxr")
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    found = resample(tl.from_numpy(tone), 44100, 16000).numpy()
    want = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert found.shape == want.shape
    np.testing.assert_allclose(found[500:-500], want[500:-500], atol=1e-3)


def test_a_flac_whose_head_promises_more_than_memory_holds(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "a.flac"
    soundfile.write(path, VALUES.T, 8000)
    raw = bytearray(path.read_bytes())
    # STREAMINFO (RFC 9639, 8.2): rate, channels, bits and, in the last 36 bits, the samples.
    told = int.from_bytes(raw[18:26], "big") | (1 << 36) - 1
    raw[18:26] = told.to_bytes(8, "big")
    with pytest.raises(FormatError, match="file: expected at most 4294967296 samples, got"):
        load_audio(bytes(raw))
