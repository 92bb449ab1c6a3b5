"""SpeakerEmbedder: resemblyzer's weights against torch and librosa, x-vectors against the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.audio import load_audio, save_audio
from tallow.errors import ArgumentError, ModelError
from tallow.hub import resolve
from tallow.models import FAMILIES
from tallow.safetensors import save_file
from tallow.tasks import BatchError

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "speaker.json").read_text())
SOUNDS = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"


@pytest.fixture(scope="module")
def ge2e(tmp_path_factory):
    """An encoder of random weights in a file of resemblyzer's form."""
    path = tmp_path_factory.mktemp("ge2e") / "encoder.safetensors"
    values = {"mel_n_channels": 40, "model_hidden_size": 32, "model_embedding_size": 24,
              "model_num_layers": 1}  # fmt: skip
    model = FAMILIES["ge2e"].model(FAMILIES["ge2e"].config(**values))
    save_file({f"model_state.{k}": v for k, v in model.state_dict().items()}, path)
    return tl.SpeakerEmbedder(path, config={"model_type": "ge2e", **values})


def voice(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16000)).astype(np.float32)


def test_vectors_have_length_one_and_do_not_depend_on_others(ge2e):
    sounds = [voice(0.3), voice(4, 1), voice(2, 2)]
    every = ge2e(sounds)
    assert every.shape == (3, 24)
    np.testing.assert_allclose((every * every).sum(1).numpy(), 1, atol=1e-5)
    for sound, want in zip(sounds, every, strict=True):
        assert ge2e(sound).tolist() == want.tolist()
    assert ge2e.similarity(sounds[0], sounds[0]) == pytest.approx(1, abs=1e-5)
    assert ge2e.speaker(sounds).shape == (24,)
    assert ge2e([]).shape == (0, 24)


def test_sounds_in_all_forms(ge2e, tmp_path):
    wave = voice(2)
    want = ge2e(wave).numpy()
    save_audio(tmp_path / "a.wav", wave, 16000)
    forms = [tmp_path / "a.wav", str(tmp_path / "a.wav"), (tmp_path / "a.wav").read_bytes()]
    for form in forms:
        np.testing.assert_allclose(ge2e(form).numpy(), want, atol=1e-3)
    np.testing.assert_allclose(ge2e([*forms, tl.from_numpy(wave)])[3].numpy(), want, atol=1e-5)


def test_soft_sounds_are_made_louder_and_loud_ones_stay(ge2e):
    wave = voice(2)
    np.testing.assert_allclose(ge2e(wave / 1000).numpy(), ge2e(wave / 100).numpy(), atol=1e-4)
    assert abs(ge2e(wave * 3).numpy() - ge2e(wave).numpy()).max() > 1e-4
    assert ge2e(np.zeros(16000, np.float32)).isfinite().all().item()


def test_x_vectors_are_those_of_the_model():
    folder = Case("wav2vec2_xvector").folder
    embedder = tl.SpeakerEmbedder(folder)
    sounds = [voice(0.05), voice(0.04, 1)]
    found = embedder(sounds)
    x = tl.tensor(sounds[1])
    x = (x - x.mean()) / (x.var(correction=0) + 1e-7).sqrt()
    want = embedder.model(x.unsqueeze(0)).embeddings[0]
    want = want / want.square().sum().sqrt()
    np.testing.assert_allclose(found[1].numpy(), want.numpy(), atol=1e-5)
    with pytest.raises(ArgumentError, match="samples or more, got 50"):
        embedder(voice(50 / 16000))


def test_what_is_no_sound_is_told(ge2e):
    with pytest.raises(BatchError, match="1 of 2 items failed") as caught:
        ge2e([voice(1), voice(0)])
    assert caught.value.results[0].shape == (24,)
    with pytest.raises(ArgumentError, match="finite samples"):
        ge2e(np.full(16000, np.nan, np.float32))
    with pytest.raises(ArgumentError, match="no rate beside a file"):
        ge2e(b"RIFF", 16000)
    with pytest.raises(ModelError, match="audio-xvector"):
        tl.SpeakerEmbedder(Case("hubert_ctc").folder)


@pytest.mark.needs_network
@pytest.mark.slow
def test_real_voices(model_cache):
    embedder = tl.SpeakerEmbedder()
    found = []
    for name in ("beckett.wav", "two_cities.wav"):
        samples = load_audio(resolve(SOUNDS + name), 16000).samples[: 12 * 16000]
        found.append(embedder(samples))
        first = GOLDEN[name]["first"]
        np.testing.assert_allclose(found[-1][: len(first)].numpy(), first, atol=1e-4)
    cosine = (found[0] * found[1]).sum().item()
    assert cosine == pytest.approx(GOLDEN["cosine"], abs=1e-4)
