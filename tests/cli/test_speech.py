"""`tallow vad` and `tallow speak` on small models."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

import tallow as tl
from speech_made import make_vad, make_voice
from tallow.audio import load_audio, save_audio
from tallow.cli.vad import timeline
from tallow.tasks import phonemes as spoken
from tallow.tasks.voice_activity import Segment


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return make_vad(tmp_path_factory.mktemp("vad") / "loud_16k.onnx")


@pytest.fixture
def sound(tmp_path):
    samples = np.zeros(48000, np.float32)
    samples[16000:32000] = 0.4
    save_audio(tmp_path / "a.wav", tl.from_numpy(samples), 16000)
    return tmp_path / "a.wav"


@pytest.fixture
def voice(tmp_path, monkeypatch):
    monkeypatch.setattr(spoken, "espeak", lambda words, voice: words.lower())
    return make_voice(tmp_path / "v.onnx")


def test_vad_prints_rows_and_json(run, detector, sound, tmp_path):
    (want,) = tl.VoiceActivity(detector).segments(sound)
    code, out, err = run("vad", sound, "--model", detector)
    assert (code, err) == (0, "")
    head, row = (line.split() for line in out.splitlines())
    assert head == ["start", "end", "length", "probability"]
    numbers = (want.start, want.end, want.end - want.start)
    assert row == [*(f"{x:.3f}" for x in numbers), f"{want.probability:.2f}"]
    silent = tmp_path / "silent.wav"
    save_audio(silent, tl.zeros(16000), 16000)
    code, out, _ = run("vad", sound, silent, "--model", detector, "--json")
    first, second = json.loads(out)
    assert first["id"] == str(sound)
    assert first["duration"] == 3
    assert [s["start"] for s in first["segments"]] == [round(want.start, 6)]
    assert second == {"id": str(silent), "duration": 1, "segments": []}


def test_vad_prints_the_file_of_several(run, detector, sound):
    _, out, _ = run("vad", sound, sound, "--model", detector)
    assert [line.split()[0] for line in out.splitlines()] == ["file", str(sound), str(sound)]


def test_a_file_that_fails_does_not_cost_the_others(run, detector, sound, tmp_path):
    code, out, err = run("vad", tmp_path / "no.wav", sound, "--model", detector, "--json")
    assert code == 1
    assert [row["id"] for row in json.loads(out)] == [str(sound)]
    failed, error = err.splitlines()
    assert failed.startswith(f"failed: {tmp_path / 'no.wav'}: file: expected a sound")
    assert error == "error: vad: 1 of 2 items failed"


def test_vad_prints_subtitles(run, detector, sound):
    code, out, _ = run("vad", sound, "--model", detector, "--srt")
    assert code == 0
    time = r"00:00:0\d,\d{3}"
    assert re.fullmatch(rf"1\n{time} --> {time}\n\[speech\]\n\n", out)
    for line in (["--srt", sound], ["--srt", "--json"], ["-", "-"]):
        code, out, err = run("vad", sound, *line, "--model", detector)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_vad_reads_standard_input(spawn, run, detector, sound):
    _, want, _ = run("vad", sound, "--model", detector)
    done = spawn("vad", "-", "--model", detector, input=sound.read_bytes())
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, want, b"")


def test_vad_options_change_what_is_found(run, detector, sound):
    def rows(*options):
        return json.loads(run("vad", sound, "--model", detector, "--json", *options)[1])[0]

    assert rows("--threshold", 1)["segments"] == []
    assert rows("--min-speech-ms", 2000)["segments"] == []
    assert len(rows("--max-speech-s", 0.5)["segments"]) > 1
    wide, narrow = (rows("--pad-ms", x)["segments"][0]["start"] for x in (100, 0))
    assert abs(narrow - wide - 0.1) < 1e-6


def test_timeline():
    segments = [Segment(0, 1, 0.9), Segment(2.5, 3, 0.9)]
    assert timeline(4, segments, 4) == "█ ▄ "
    assert timeline(0, [], 4) == ""


def test_speak_writes_a_wav(run, voice, tmp_path):
    out = tmp_path / "out.wav"
    options = ("-o", out, "--model", voice, "--sentence-silence", 0)
    assert run("speak", "So, go. Do!", *options) == (0, "", "")
    want = tl.SpeechSynthesizer(voice).synthesize("So, go. Do!")
    found, rate = load_audio(out)
    assert rate == want.rate
    assert (found * 32768).tolist() == want.pcm().tolist()
    code, _, err = run("speak", "So", *options)
    assert (code, err.count("\n")) == (1, 1)
    assert "--force" in err
    assert run("speak", "so, go.\ndo!", "--phonemes", "--force", *options) == (0, "", "")
    assert load_audio(out).samples.tolist() == found.tolist()


def test_speak_reads_standard_input(run, voice, tmp_path, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"So. Do.")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert run("speak", "-o", tmp_path / "out.wav", "--model", voice) == (0, "", "")
    ids = sum(len(tl.SpeechSynthesizer(voice).ids(each)) for each in ("so.", "do."))
    assert load_audio(tmp_path / "out.wav").samples.shape == (ids + 2 * 200,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["speak", "...", "-o", "OUT"], "a text with words"),
        (["speak", "xyz", "--phonemes", "-o", "OUT"], "phonemes that the voice knows"),
        (["speak", "a", "--phonemes", "-o", "OUT/x/y.wav"], "a folder that is there"),
        (["speak", "a", "--phonemes", "-o", "OUT", "--speaker", "eve"], "a speaker of"),
    ],
)
def test_speak_fails_in_one_line(run, voice, tmp_path, line, said):
    words = [word.replace("OUT", str(tmp_path / "out.wav")) for word in line]
    code, out, err = run(*words, "--model", voice)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("content", [None, b"RIFF\0\0\0\0WAVE", b"RIFF\x24\0\0\0WAVEfmt "])
def test_vad_fails_in_one_line(run, detector, tmp_path, content):
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    code, out, err = run("vad", path, "--model", detector)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "bad.wav" in err
