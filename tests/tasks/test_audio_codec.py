"""AudioCodec: sounds to codes and back, by the models of the goldens."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.audio import save_audio
from tallow.errors import ArgumentError, ModelError, ShapeError
from tallow.models.fields import Fields


def wave(length, channels=None, seed=0):
    shape = length if channels is None else (channels, length)
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize("name", ["encodec", "encodec_stereo", "dac", "mimi", "snac"])
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


def test_books_of_several_rates():
    """A coarser book has fewer codes; all of a sound come back, and no fewer books can be asked."""
    codec = tl.AudioCodec(Case("snac").folder)
    sound = wave(205)
    made = codec.encode(sound)
    # Whole windows of 24 samples, of which a book has a code for each 24, 12 and 6.
    assert [tuple(each.shape) for each in made.codes] == [(9,), (18,), (36,)]
    assert codec.decode(made).samples.shape == (205,)
    for option in ({"books": 2}, {"bandwidth": 6.0}):
        with pytest.raises(ArgumentError, match=f"no {next(iter(option))} for SnacModel"):
            codec.encode(sound, **option)
    for wrong in (made.codes[:2], (*made.codes[:2], made.codes[2][:-1])):
        with pytest.raises(ShapeError, match="strides"):
            codec.model.decode(audio_codes=[each.unsqueeze(0) for each in wrong])


def test_noise_follows_the_seed_and_the_signal(tmp_path):
    """Of weights that are all the same, noise alone tells two calls apart."""
    case = Case("snac")
    quiet = case.load()
    values = {**quiet.config_values, "noise": True}
    noisy = type(quiet)(type(quiet.config).read(Fields(values, "made"))).eval()
    own = {name: x for name, x in noisy.state_dict().items() if ".block.2.linear." in name}
    assert len(own) == 4  # two blocks, lengths and directions
    given = dict(quiet.state_dict())
    x = case.inputs["input_values"]
    with tl.inference_mode():
        codes = quiet.encode(x).audio_codes
        want = quiet.decode(audio_codes=codes).numpy()
        for name, held in noisy.state_dict().items():
            if name not in own:
                held.copy_(given[moved(name)])
        drawn = []
        for seed in (1, 2, 1):
            tl.manual_seed(seed)
            drawn.append(noisy.decode(audio_codes=codes).numpy())
        for name, held in own.items():
            if name.endswith("original0"):
                held.fill_(0)
        silent = noisy.decode(audio_codes=codes).numpy()
    assert np.array_equal(drawn[0], drawn[2])
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
    np.testing.assert_allclose(silent, want, atol=1e-6)


def moved(name):
    """The name without noise, which stands third in a block of the decoder."""
    found = re.fullmatch(r"(decoder\.model\.[34]\.block\.)([345])(\..*)", name)
    return name if found is None else f"{found[1]}{int(found[2]) - 1}{found[3]}"
