"""SpeechSynthesizer: phonemes, ids and sounds as Piper makes them."""

from __future__ import annotations

import json
import shutil
import wave

import numpy as np
import pytest

import tallow as tl
from speech_made import CONFIG, make_vad, make_voice
from tallow.errors import ArgumentError, FormatError, MissingExtraError, ModelError
from tallow.tasks import phonemes as spoken

IDS = CONFIG["phoneme_id_map"]
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return tl.SpeechSynthesizer(make_voice(tmp_path_factory.mktemp("voice") / "v.onnx"))


@pytest.fixture
def said(monkeypatch):
    """A stand-in for espeak-ng that says words as they are written."""
    asked = []
    monkeypatch.setattr(spoken, "espeak", lambda w, voice: asked.append((w, voice)) or w.lower())
    return asked


def test_ids_have_begin_pads_and_end(voice):
    assert voice.ids("ha.") == [1, 0, IDS["h"][0], 0, IDS["a"][0], 0, IDS["."][0], 0, 2]
    assert voice.ids("ɡ") == voice.ids("g"), "phoneme_map is applied"
    with pytest.raises(ArgumentError, match="phonemes that the voice knows, got .'x'"):
        voice.ids("ax")


SENTENCES = [
    ("Hello, wold. Fine!", ["hello, wold.", "fine!"]),
    ("a b", ["a b"]),
    ("At 3.50? (so) no: jo; la", ["at 3.50?", "so) no: jo; la"]),
    ("so... and\nso", ["so.", "and\nso"]),
    ('"Go." Do', ["go.", "do"]),
    ("Title\n \nGo, now", ["title", "go, now"]),
    ("E.g. so. Go — la.\nÑ a.", ["e.g. so.", "go; la.", "n\u0303 a."]),
    (" ... ", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "want"), SENTENCES)
def test_sentences(text, want, voice, said):
    assert voice.phonemes(text) == want
    assert all(who == "en-us" for _, who in said)


def test_samples_are_those_of_the_ids(voice, said):
    found = voice.synthesize("Hello, go. Do!")
    want = [voice.ids("hello, go."), voice.ids("do!")]
    flat = [i / 100 * 2 for ids in want for i in ids]
    np.testing.assert_allclose(found.samples.numpy(), flat, rtol=1e-6)
    assert found.rate == 1000
    parts = [part.samples.shape[0] for part in voice.stream("Hello, go. Do!")]
    assert parts == [len(ids) for ids in want]
    again = voice.synthesize(phonemes=["hello, go.", "do!"])
    assert again.samples.tolist() == found.samples.tolist()


def test_a_stream_speaks_when_it_is_asked(voice, said):
    stream = voice.stream("So. Do. Go.")
    assert said == []
    next(stream)
    assert said == [("So", "en-us")]


def test_options(tmp_path, said):
    path = make_voice(tmp_path / "v.onnx")
    plain = tl.SpeechSynthesizer(path)
    assert plain.scales == [0.5, 2.0, 0.25]
    slow = tl.SpeechSynthesizer(path, length_scale=4, sentence_silence=0.05, noise_scale=0)
    assert slow.scales == [0.0, 4.0, 0.25]
    samples, want = slow.synthesize("so").samples, plain.synthesize("so").samples * 2
    assert samples[-50:].tolist() == [0] * 50
    assert samples[:-50].tolist() == want.tolist()
    assert tl.SpeechSynthesizer(tmp_path).scales == plain.scales, "a folder of one voice"
    for option in ({"length_scale": 0}, {"noise_w": -1}, {"sentence_silence": -1}):
        with pytest.raises(ArgumentError, match=next(iter(option))):
            tl.SpeechSynthesizer(path, **option)


def test_the_config_of_a_remote_file_is_fetched_too(tmp_path, monkeypatch):
    path = make_voice(tmp_path / "v.onnx")
    (tmp_path / "other").mkdir()
    beside = (tmp_path / "v.onnx.json").rename(tmp_path / "other" / "v.json")
    files = {"hf:o/n/v.onnx": path, "hf:o/n/v.onnx.json": beside}
    monkeypatch.setattr(tl.hub, "resolve", files.__getitem__)
    assert tl.SpeechSynthesizer("hf:o/n/v.onnx").rate == 1000


def test_speakers(tmp_path):
    path = make_voice(tmp_path / "v.onnx", num_speakers=2, speaker_id_map={"ann": 0, "bob": 1})
    first = tl.SpeechSynthesizer(path).synthesize(phonemes="a").samples
    for who in ("bob", 1, "1"):
        other = tl.SpeechSynthesizer(path, speaker=who).synthesize(phonemes="a").samples
        np.testing.assert_allclose(other.numpy(), first.numpy() + 1, rtol=1e-6)
    for who in ("eve", 2, -1):
        with pytest.raises(ArgumentError, match="a speaker of .'ann', 'bob'.*, got"):
            tl.SpeechSynthesizer(path, speaker=who)


def test_a_voice_of_letters_needs_no_espeak(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    path = make_voice(tmp_path / "v.onnx", phoneme_type="text")
    assert tl.SpeechSynthesizer(path).phonemes("Hello, go. Do") == ["hello, go.", "do"]


def test_pcm_is_as_loud_as_can_be(voice, tmp_path):
    speech = voice.synthesize(phonemes="so.")
    pcm = speech.pcm()
    assert pcm.dtype == tl.i16
    want = speech.samples.numpy() / speech.samples.numpy().max() * 32767
    np.testing.assert_allclose(pcm.numpy(), want, atol=1)
    speech.save(tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 1000, pcm.shape[0])
        assert file.readframes(99) == pcm.numpy().tobytes()


def test_without_espeak_one_error_says_what_to_do(voice, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match="apt install espeak-ng.*or give phonemes"):
        voice.synthesize("so")
    assert voice.synthesize(phonemes="so").samples.shape == (7,)


def test_unknown_phonemes_of_espeak_are_told(voice, said):
    with pytest.warns(UserWarning, match="no sound for 'x'"):
        found = voice.synthesize("xa")
    assert found.samples.tolist() == voice.synthesize(phonemes="a").samples.tolist()


def test_what_is_wrong_is_told(voice, tmp_path, said):
    for text in ("", "...", " \n"):
        with pytest.raises(ArgumentError, match="expected a text with words"):
            voice.synthesize(text)
    with pytest.raises(ArgumentError, match="a text or phonemes"):
        voice.synthesize("a", phonemes="a")
    with pytest.raises(ArgumentError, match="a text or phonemes"):
        voice.synthesize()
    with pytest.raises(ModelError, match="a folder of one .onnx file, found none"):
        tl.SpeechSynthesizer(tmp_path)
    path = make_vad(tmp_path / "vad.onnx")
    beside = tmp_path / "vad.onnx.json"
    with pytest.raises(ModelError, match=r"vad\.onnx\.json beside it, found none"):
        tl.SpeechSynthesizer(path)
    beside.write_text(json.dumps(CONFIG))
    with pytest.raises(ModelError, match="expected a voice of Piper's"):
        tl.SpeechSynthesizer(path)
    beside.write_text(json.dumps(CONFIG | {"phoneme_id_map": {"a": 1}}))
    with pytest.raises(ModelError, match="phoneme_id_map: expected lists of ids"):
        tl.SpeechSynthesizer(path)
    for text in ("{", "[]", '{"audio": {"sample_rate": 0}}'):
        beside.write_text(text)
        with pytest.raises(FormatError, match=r"vad\.onnx\.json"):
            tl.SpeechSynthesizer(path)


@needs_espeak
def test_espeak():
    found = list(spoken.espeak_sentences("Hello world, how are you? - Fine.", "en-us"))
    assert found == ["həlˈoʊ wˈɜːld, hˈaʊ ɑːɹ juː?", "fˈaɪn."]
    with pytest.raises(ArgumentError, match="espeak-ng: expected phonemes in the voice 'nope'"):
        spoken.espeak("a", "nope")


@pytest.mark.needs_network
@pytest.mark.needs_formats
@pytest.mark.slow
def test_real_voice(model_cache):
    import onnxruntime

    voice = tl.SpeechSynthesizer(noise_scale=0, length_scale=1, noise_w=0)
    (path,) = tl.hub.resolve("piper-joe").glob("*.onnx")
    session = onnxruntime.InferenceSession(str(path))
    for text in ("həlˈoʊ wˈɜːld, hˈaʊ ɑːɹ juː?", "fˈaɪn."):
        ids = np.array([voice.ids(text)])
        feeds = {"input": ids, "input_lengths": np.array([ids.size])}
        (want,) = session.run(None, feeds | {"scales": np.array([0, 1, 0], np.float32)})
        found = voice.synthesize(phonemes=text)
        assert found.rate == 22050
        np.testing.assert_allclose(found.samples.numpy(), want.reshape(-1), rtol=0, atol=1e-3)
