"""AudioCodec: sounds to codes and back, by the models of the goldens."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.audio import save_audio
from tallow.errors import ArgumentError, ModelError, ShapeError


def wave(length, channels=None, seed=0):
    shape = length if channels is None else (channels, length)
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize("name", ["encodec", "encodec_stereo", "dac", "mimi"])
def test_a_sound_through_codes_is_what_the_model_gives(name):
    codec = tl.AudioCodec(Case(name).folder)
    two = codec.channels == 2
    sound = wave(204, 2 if two else None)
    codes = codec.encode(sound)
    found = codec.decode(codes)
    x = tl.tensor(sound if two else sound[None])
    want = codec.model(x.unsqueeze(0)).audio_values[0]
    assert found.rate == codec.rate
    # Odd strides of DAC cost samples at the end.
    assert found.samples.shape[:-1] == ((2,) if two else ())
    assert 202 <= found.samples.shape[-1] <= 204
    want = want if two or want.ndim == 1 else want[0]
    got = found.samples.numpy()
    n = min(got.shape[-1], want.shape[-1])
    np.testing.assert_allclose(got[..., :n], want.numpy()[..., :n], atol=1e-5)


@pytest.mark.parametrize("name", ["encodec", "encodec_stereo", "dac", "mimi"])
def test_codes_of_a_row_do_not_depend_on_its_neighbours(name):
    case = Case(name)
    model = case.load()
    x = case.inputs["input_values"]
    both = model(x)
    for row in range(2):
        alone = model(x[row : row + 1])
        codes = both.audio_codes
        codes = codes[:, row : row + 1] if codes.ndim == 4 else codes[row : row + 1]
        assert np.array_equal(alone.audio_codes.numpy(), codes.numpy())
        want = both.audio_values[row : row + 1].numpy()
        np.testing.assert_allclose(alone.audio_values.numpy(), want, atol=1e-5)


def test_fewer_books_and_higher_rates():
    dac, encodec = (tl.AudioCodec(Case(name).folder) for name in ("dac", "encodec"))
    sound = wave(120)
    every = dac.encode(sound).codes
    assert np.array_equal(dac.encode(sound, books=2).codes.numpy(), every[:2].numpy())
    assert dac.decode(dac.encode(sound, books=1)).samples.isfinite().all().item()
    few, more = (encodec.encode(sound, bandwidth=rate).codes for rate in (8.0, 24.0))
    assert few.shape[1] < more.shape[1]
    assert np.array_equal(more[:, : few.shape[1]].numpy(), few.numpy())
    mono = tl.AudioCodec(Case("encodec_stereo").folder)
    assert np.array_equal(
        mono.encode(sound).codes.numpy(), mono.encode(np.stack([sound, sound])).codes.numpy()
    )


def test_padding_is_silence():
    case = Case("encodec")
    model, x = case.load(), case.inputs["input_values"].clone()
    mask = tl.ones(2, x.shape[2], dtype=tl.i64)
    mask[1, 100:] = 0
    x2 = x.clone()
    x2[1, :, 100:] = 0
    masked, silent = model(x, mask), model(x2)
    assert np.array_equal(masked.audio_codes.numpy(), silent.audio_codes.numpy())


def test_a_file_at_another_rate(tmp_path):
    pytest.importorskip("soxr")
    codec = tl.AudioCodec(Case("encodec").folder)
    save_audio(tmp_path / "a.wav", wave(1600), 16000)
    codes = codec.encode(tmp_path / "a.wav")
    assert codes.length == 800
    assert codec.decode(codes).samples.shape == (800,)


def test_what_does_not_fit_is_told():
    dac, encodec = (tl.AudioCodec(Case(name).folder) for name in ("dac", "encodec"))
    with pytest.raises(ArgumentError, match="no bandwidth for DacModel"):
        dac.encode(wave(100), bandwidth=1.5)
    with pytest.raises(ArgumentError, match="no books for EncodecModel"):
        encodec.encode(wave(100), books=1)
    with pytest.raises(ArgumentError, match="bandwidth: expected one of"):
        encodec.encode(wave(100), bandwidth=7)
    with pytest.raises(ArgumentError, match="n_quantizers: expected 1 to 3"):
        dac.encode(wave(100), books=4)
    with pytest.raises(ArgumentError, match="at least one sample"):
        encodec.encode(np.zeros(0, np.float32))
    with pytest.raises(ArgumentError, match="finite samples"):
        encodec.encode(np.full(50, np.inf, np.float32))
    with pytest.raises(ArgumentError, match="6 samples or more"):
        dac.model(tl.zeros(1, 1, 5))
    with pytest.raises(ShapeError, match="audio_codes"):
        dac.model.decode(audio_codes=tl.zeros(1, 4, 5, dtype=tl.i64))
    with pytest.raises(ModelError, match="expected an audio codec, found Wav2Vec2ForCTC"):
        tl.AudioCodec(Case("wav2vec2_ctc").folder)
