"""Spectra against numpy's Fourier transform, log-mel features against transformers."""

import numpy as np
import pytest

import tallow as tl
from tallow.audio import LogMel, PowerSpectrum, mel_filters
from tallow.errors import ArgumentError


def sound(length, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(length) / 16000
    tones = 0.1 * np.sin(2 * np.pi * 440 * at) + 0.03 * np.sin(2 * np.pi * 3010 * at)
    return (tones + 0.01 * rng.standard_normal(length)).astype(np.float32)


@pytest.mark.parametrize(("n_fft", "hop"), [(400, 160), (64, 16), (10, 3)])
def test_power_equals_numpy(n_fft, hop):
    x = sound(3 * n_fft + 5)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    pieces = np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop] * window
    want = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    spectrum = PowerSpectrum(n_fft, hop)
    found = spectrum(tl.tensor(x)).numpy()
    assert found.shape == (spectrum.count(len(x)), n_fft // 2 + 1)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5 * want.max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_triangles_have_the_same_area(scale):
    filters = mel_filters(20, 4096, 16000, scale=scale, low=100).numpy()
    assert filters.shape == (2049, 20)
    areas = filters.sum(0) * 16000 / 4096
    np.testing.assert_allclose(areas, 1, rtol=0.02)
    assert (filters >= 0).all()
    peaks = mel_filters(20, 4096, 16000, scale=scale, norm=False).numpy().max(0)
    assert (peaks > 0.85).all()
    assert (peaks <= 1).all()


def test_log_mel_is_what_its_definition_says():
    x = sound(5000)
    around = np.pad(x.astype(np.float64), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    pieces = np.lib.stride_tricks.sliding_window_view(around, 400)[::160][: 5000 // 160] * window
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    logs = np.log10(np.maximum(power @ mel_filters(80, 400, 16000).numpy(), 1e-10))
    want = (np.maximum(logs, logs.max() - 8) + 4) / 4
    np.testing.assert_allclose(LogMel()(tl.tensor(x)).numpy(), want.T, rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 200, 201, 16000])
def test_short_sounds(length):
    found = LogMel(128)(tl.tensor(sound(length)))
    assert found.shape == (128, length // 160)
    assert np.isfinite(found.numpy()).all()


def test_long_sounds_are_cut_nowhere():
    x, mel = sound(16000 * 40), LogMel()
    whole = mel.logarithms(tl.tensor(x)).numpy()
    part = mel.logarithms(tl.tensor(x[16000 * 25 :])).numpy()
    np.testing.assert_allclose(whole[2510:], part[10:], rtol=0, atol=1e-4)


def test_long_sounds_have_gradients():
    given = sound(16000 * 31)
    x = tl.tensor(given).requires_grad_()
    LogMel()(x).sum().backward()
    inside = slice(16000, 17000)
    alone = tl.tensor(given[:32000]).requires_grad_()
    LogMel()(alone).sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy()[inside], alone.grad.numpy()[inside], rtol=1e-3, atol=1e-4
    )


def test_wrong_sizes():
    for make in (
        lambda: PowerSpectrum(401, 160),
        lambda: PowerSpectrum(400, 0),
        lambda: mel_filters(0, 400, 16000),
        lambda: mel_filters(80, 400, 16000, high=9000),
    ):
        with pytest.raises(ArgumentError, match="expected"):
            make()


@pytest.mark.needs_torch
@pytest.mark.parametrize("bands", [80, 128])
def test_log_mel_equals_transformers(bands):
    from transformers import WhisperFeatureExtractor

    x = sound(480000)
    x[100000:] = 0
    want = WhisperFeatureExtractor(bands)(x, sampling_rate=16000, return_tensors="np")
    found = LogMel(bands)(tl.tensor(x)).numpy()
    np.testing.assert_allclose(found, want["input_features"][0], rtol=0, atol=1e-4)
