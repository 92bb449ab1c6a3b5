"""VoiceActivity against Silero's own Python, by tests/golden/silero.json and onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from speech_made import RULES, make_vad, make_voice, probabilities
from tallow.audio import load_audio
from tallow.errors import ArgumentError, DTypeError, ModelError, ShapeError
from tallow.hub import resolve
from tallow.tasks.speech_spans import SpeechRules, speech_spans

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "silero.json").read_text())
SOUNDS = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"


@pytest.fixture(scope="module")
def vad(tmp_path_factory):
    return tl.VoiceActivity(make_vad(tmp_path_factory.mktemp("vad") / "loud_16k.onnx"))


def bursts(*places: tuple[float, float], seconds: float = 4.0) -> np.ndarray:
    """Noise of a loud voice at some seconds, near silence elsewhere."""
    random = np.random.default_rng(3)
    samples = random.uniform(-0.001, 0.001, round(seconds * 16000))
    for begin, end in places:
        part = slice(round(begin * 16000), round(end * 16000))
        samples[part] = random.choice([-0.9, 0.9], samples[part].size)
    return samples.astype(np.float32)


@pytest.mark.parametrize("seed", GOLDEN["spans"])
def test_spans_are_those_of_silero(seed):
    values, rate = probabilities(int(seed)), (16000, 8000)[int(seed) % 2]
    window = rate * 32 // 1000
    length = len(values) * window - 77
    for rules, want in zip(RULES, GOLDEN["spans"][seed], strict=True):
        found = speech_spans(values, length, rate, window, SpeechRules(**rules))
        assert [list(span) for span in found] == want, rules


def test_the_golden_has_all_kinds():
    for index, rules in enumerate(RULES):
        assert any(len(rows[index]) > 2 for rows in GOLDEN["spans"].values()), rules
    found = {json.dumps(rows) for rows in zip(*GOLDEN["spans"].values(), strict=True)}
    assert len(found) == len(RULES), "each rule changes something"


def test_segments_in_seconds(vad):
    found = vad.segments(bursts((0.5, 1.5), (2.0, 3.25)), 16000)
    assert len(found) == 2
    for each, (begin, end) in zip(found, [(0.5, 1.5), (2.0, 3.25)], strict=True):
        assert abs(each.start - begin) < 0.1
        assert abs(each.end - end) < 0.1
        assert 0.5 < each.probability <= 1


def test_rates_that_are_multiples_take_every_nth_sample(vad):
    wave = bursts((1, 2))
    want = vad.probabilities(wave).tolist()
    for step in (2, 3):
        assert vad.probabilities(np.repeat(wave, step), 16000 * step).tolist() == want
    assert vad.segments(np.repeat(wave, 3), 48000) == vad.segments(wave)


def test_other_rates_are_resampled(vad):
    pytest.importorskip("soxr")
    wave = bursts((1, 2))
    (want,), (found,) = vad.segments(wave), vad.segments(wave[: len(wave) // 2 * 2], 22050)
    ratio = 16000 / 22050
    assert abs(found.start - want.start * ratio) < 0.07
    assert abs(found.end - want.end * ratio) < 0.07
    stream = vad.stream(22050)
    events = [e for part in np.array_split(wave, 37) for e in stream.feed(part)] + stream.close()
    assert [e.kind for e in events] == ["start", "end"]
    assert abs(events[0].time - found.start) < 0.04


def test_without_soxr_one_error_names_the_package(vad, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soxr", None)
    with pytest.raises(tl.errors.MissingExtraError, match=r"pip install 'tallow\[audio\]'"):
        vad.segments(bursts((1, 2)), 22050)


@pytest.mark.parametrize("dtype", ["list", "i16", "stereo", "tensor"])
def test_forms_of_samples(vad, dtype):
    wave = bursts((1, 2), seconds=2.5)
    forms = {
        "list": wave.tolist(),
        "i16": (wave * 32768).astype(np.int16),
        "stereo": np.stack([wave * 1.5, wave * 0.5]),
        "tensor": tl.from_numpy(wave),
    }
    found, want = vad.probabilities(forms[dtype]), vad.probabilities(wave)
    np.testing.assert_allclose(found.numpy(), want.numpy(), atol=1e-4)


@pytest.mark.parametrize("size", [1, 100, 511, 512, 513, 5000, 10**6])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_stream_hears_what_a_whole_sound_has(vad, size, rate):
    wave = bursts((0.5, 1.5), (1.9, 2.3), seconds=2.5 if size > 1 else 0.7)
    wave = np.repeat(wave, rate // 16000)
    if size == 1:
        wave = wave[: 2000 * rate // 16000]
    stream, heard, events = vad.stream(rate), [], []
    step = stream._step
    stream._step = lambda p: (heard.append(p), step(p))[1]
    for first in range(0, len(wave), size):
        events += stream.feed(wave[first : first + size])
    events += stream.close()
    assert heard == vad.probabilities(wave, rate).tolist()
    if size > 1:
        spans = [(each.start, each.end) for each in vad.segments(wave, rate)]
        times = [each.time for each in events]
        assert [*zip(times[::2], times[1::2], strict=True)] == spans
        assert [each.kind for each in events] == ["start", "end"] * len(spans)


def test_streams_do_not_disturb_each_other(vad):
    loud, quiet = bursts((0.5, 1.5)), bursts()
    alone = vad.stream()
    want = alone.feed(loud) + alone.close()
    one, two, events = vad.stream(), vad.stream(), []
    for first in range(0, len(loud), 700):
        events += one.feed(loud[first : first + 700])
        assert two.feed(quiet[first : first + 700]) == []
    assert events + one.close() == want
    assert two.close() == []


def test_the_end_of_a_stream_ends_speech_and_reset_begins_anew(vad):
    stream, wave = vad.stream(), bursts((0.5, 1), seconds=1)
    (start,) = stream.feed(wave)
    assert start.kind == "start"
    assert stream.speaking
    (end,) = stream.close()
    assert (end.kind, end.time) == ("end", 1.0)
    with pytest.raises(ArgumentError, match="expected an open stream"):
        stream.feed(wave)
    stream.reset()
    assert stream.feed(wave) == [start]


def test_no_sound_and_progress(vad):
    assert vad.segments([]) == []
    assert vad.probabilities(np.zeros(0, np.float32)).shape == (0,)
    told = []
    vad.segments(bursts(seconds=10), progress=lambda done, count: told.append((done, count)))
    assert told == [(256, 313), (313, 313)]


def test_what_is_wrong_is_told(vad, tmp_path):
    with pytest.raises(ArgumentError, match="threshold between 0 and 1, got 2"):
        tl.VoiceActivity(tmp_path, threshold=2)
    with pytest.raises(ArgumentError, match="speech_pad_ms of 0 or more"):
        tl.VoiceActivity(tmp_path, speech_pad_ms=-1)
    with pytest.raises(ArgumentError, match="a rate above 0"):
        vad.segments([0.0], 0)
    with pytest.raises(ShapeError, match=r"\(channels, length\)"):
        vad.segments(np.zeros((1, 2, 3), np.float32))
    with pytest.raises(DTypeError, match="floats or i16"):
        vad.segments(np.zeros(3, np.int64))
    with pytest.raises(ModelError, match="expected a voice activity model with the inputs"):
        tl.VoiceActivity(make_voice(tmp_path / "voice.onnx"))


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize("label", GOLDEN["sounds"])
def test_real_speech(label, model_cache):
    name, _, low = label.partition(" at ")
    samples, rate = load_audio(resolve(SOUNDS + name))
    if low:
        samples, rate = samples[:: 2 * max(1, rate // 16000)], 8000
    found = tl.VoiceActivity().segments(samples, rate)
    assert [[each.start, each.end] for each in found] == GOLDEN["sounds"][label]


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["silero_vad_16k_op15", "silero_vad_op18_ifless"])
def test_other_files_of_silero(name, model_cache):
    """Their inputs come in other orders, and one knows 16000 Hz alone."""
    vad = tl.VoiceActivity(f"pypi:silero-vad==6.2.3#silero_vad/data/{name}.onnx")
    found = vad.segments(resolve(SOUNDS + "beckett.wav"))
    assert [[each.start, each.end] for each in found] == GOLDEN["sounds"]["beckett.wav"]


@pytest.mark.needs_network
@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 16000])
def test_weights_alone_tell_what_the_graph_tells(rate, model_cache):
    samples, own = load_audio(resolve(SOUNDS + "beckett.wav"))
    wave = samples.numpy()[:: own // rate]
    vad = tl.VoiceActivity("pypi:silero-vad==6.2.3#silero_vad/data/silero_vad.jit")
    found, want = (each.probabilities(wave, rate).numpy() for each in (vad, tl.VoiceActivity()))
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5)


def test_a_file_of_weights_and_its_stream(tmp_path):
    from tallow.models import FAMILIES
    from tallow.safetensors import save_file

    cfg = FAMILIES["silero_vad"].config()
    weights = FAMILIES["silero_vad"].model(cfg).state_dict()
    save_file(weights, tmp_path / "vad.safetensors")
    vad = tl.VoiceActivity(tmp_path / "vad.safetensors")
    wave = bursts((0.2, 0.6), seconds=1)
    want, stream, heard = vad.probabilities(wave).tolist(), vad.stream(), []
    step = stream._step
    stream._step = lambda p: (heard.append(p), step(p))[1]
    for part in np.array_split(wave, 7):
        stream.feed(part)
    stream.close()
    np.testing.assert_allclose(heard, want, rtol=0, atol=1e-5)
    assert vad.probabilities(wave[::2], 8000).shape == (32,)
    weights["conv5.weight"] = weights.pop("conv4.weight")
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"conv5\.weight"):
        tl.VoiceActivity(tmp_path / "other.safetensors")


@pytest.mark.needs_network
@pytest.mark.needs_formats
@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("name", ["beckett.wav", "two_cities.wav"])
def test_probabilities_are_those_of_onnxruntime(name, rate, model_cache):
    import onnxruntime

    samples, own = load_audio(resolve(SOUNDS + name))
    wave = samples.numpy()[:: own // rate]
    found = tl.VoiceActivity().probabilities(wave, rate).numpy()
    session = onnxruntime.InferenceSession(str(resolve("silero-vad")))
    window, context = rate * 32 // 1000, rate * 4 // 1000
    padded = np.pad(wave, (context, -len(wave) % window))
    state, want = np.zeros((2, 1, 128), np.float32), []
    for first in range(0, len(padded) - context, window):
        part = padded[None, first : first + context + window]
        out, state = session.run(None, {"input": part, "state": state, "sr": np.array(rate)})
        want.append(out[0, 0])
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)
