"""Speech to text by CTC models, against transformers' pipeline."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.audio.waves import WaveFeatures
from tallow.errors import ArgumentError, FormatError, ModelError
from tallow.generate.ctc import CtcBeams
from tallow.tasks.ctc import CtcReader, transcribe

SYMBOLS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}
SYMBOLS |= {chr(ord("A") + n): 5 + n for n in range(19)}
PROCESSOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "do_normalize": True,
    "return_attention_mask": True,
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    shutil.copytree(Case("wav2vec2_ctc").folder, made)
    (made / "vocab.json").write_text(json.dumps(SYMBOLS))
    (made / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    (made / "tokenizer_config.json").write_text('{"tokenizer_class": "Wav2Vec2CTCTokenizer"}')
    return made


def sound(length, seed=0):
    return tl.tensor(np.random.default_rng(seed).normal(0.1, 0.2, length).astype(np.float32))


def test_a_batch_says_what_its_sounds_say(folder):
    reader = CtcReader(tl.models.load(folder))
    sounds = [sound(900), sound(500, 1), sound(3, 2), sound(0)]
    found = reader.read(sounds)
    assert found[2].text == found[3].text == ""
    assert found[0].words
    for each, one in zip(sounds, found, strict=True):
        assert reader.read([each]) == [one]
    assert transcribe(reader.model, sounds[:1]) == found[:1]


def test_beams_find_likelier_texts(folder):
    reader = CtcReader(tl.models.load(folder))
    (best,) = reader.read([sound(600)], beams=CtcBeams(16), n_best=3)
    assert best.score is not None
    assert len(best.others) == 2
    assert best.score >= best.others[0][1] >= best.others[1][1]
    assert [word.text for word in best.words] == best.text.split()
    assert all(word.start < word.end for word in best.words)


@pytest.mark.needs_torch
@pytest.mark.parametrize("length", [700, 4000])
def test_texts_and_times_are_those_of_transformers(folder, length):
    transformers = pytest.importorskip("transformers")
    task = "automatic-speech-recognition"
    pipe = transformers.pipeline(task, str(folder), dtype="float32")
    samples = sound(length, 3)
    chunk = 1200 / 16000
    want = pipe(samples.numpy(), return_timestamps="word", chunk_length_s=chunk)
    (found,) = CtcReader(tl.models.load(folder)).read([samples], chunk_s=chunk)
    assert found.text == want["text"]
    told = [(w["text"], *w["timestamp"]) for w in want["chunks"]]
    assert [w.text for w in found.words] == [text for text, _, _ in told]
    times = [(w.start, w.end) for w in found.words]
    np.testing.assert_allclose(times, [each[1:] for each in told], atol=1e-6)


@pytest.mark.needs_torch
@pytest.mark.parametrize("normal", [True, False])
def test_features_are_those_of_transformers(folder, normal):
    transformers = pytest.importorskip("transformers")
    other = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder, do_normalize=normal)
    rows = [sound(900), sound(500, 1)]
    given = {"sampling_rate": 16000, "return_tensors": "np", "padding": True}
    want = other([row.numpy() for row in rows], **given)
    found = WaveFeatures(do_normalize=normal).batch(rows)
    np.testing.assert_allclose(found.input_values.numpy(), want["input_values"], atol=1e-5)
    assert np.array_equal(found.attention_mask.numpy(), want["attention_mask"])


def test_what_does_not_fit_is_told(folder):
    model = tl.models.load(folder)
    with pytest.raises(ArgumentError, match="n_best: expected 1, or more with beams"):
        CtcReader(model).read([sound(500)], n_best=2)
    with pytest.raises(ModelError, match="CtcReader: expected a CTC model, got Wav2Vec2Model"):
        CtcReader(model.wav2vec2)
    file = folder / "preprocessor_config.json"
    for key, value, error in (
        ("feature_size", 80, ModelError),
        ("sampling_rate", "16k", FormatError),
        ("sampling_rate", -5, FormatError),
        ("do_normalize", 1, FormatError),
        ("padding_side", "left", ModelError),
    ):
        file.write_text(json.dumps({**PROCESSOR, key: value}))
        with pytest.raises(error, match=key):
            CtcReader(model)
