"""`tallow transcribe` on a tiny Whisper."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from speech_text import make_whisper
from tallow.audio import save_audio


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for seed, name in enumerate(("a.wav", "b.wav")):
        x = np.random.default_rng(seed).standard_normal(24000).astype(np.float32) * 0.1
        save_audio(folder / name, tl.from_numpy(x), 16000)
    return folder


def test_prints_text_and_json(run, model, sounds):
    options = ("--model", model, "--language", "en", "--temperature", "0")
    code, out, err = run("transcribe", sounds / "a.wav", *options, "-f", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    want = tl.Transcriber(model).transcribe(sounds / "a.wav", language="en", temperature=0.0)
    assert found["text"] == want.text
    assert found["duration"] == 1.5
    code, out, _ = run("transcribe", sounds, *options)
    assert code == 0
    assert f"{sounds / 'a.wav'}:" in out.splitlines()


def test_a_folder_is_gone_on_with(run, model, sounds, tmp_path):
    target = tmp_path / "made"
    options = ("--model", model, "--language", "en", "--temperature", "0", "-o", f"{target}/")
    (sounds / "c.wav").write_bytes(b"RIFF\x10\0\0\0WAVEfmt ")
    code, _, err = run("transcribe", sounds, *options, "-f", "srt")
    assert code == 1
    assert "1 of 3 items failed" in err
    assert sorted(p.name for p in target.iterdir()) == ["a.srt", "b.srt"]
    (target / "a.srt").write_text("kept")
    (target / "b.srt").unlink()
    code, _, err = run("transcribe", sounds / "a.wav", sounds / "b.wav", *options, "-f", "srt")
    assert code == 1
    assert "a.srt: expected no such file" in err
    code, _, err = run(
        "transcribe", sounds / "a.wav", sounds / "b.wav", *options, "-f", "srt", "--resume"
    )
    assert code == 0
    assert "1 files are there already" in err
    assert (target / "a.srt").read_text() == "kept"
    assert (target / "b.srt").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resume",), "--resume: expected -o FOLDER/"),
        (("-o", "a.pdf"), "a name that ends in .txt, .srt"),
        (("--language", "xx"), "language: expected one of en, zh"),
        (("no.wav",), "no.wav"),
    ],
    ids=["resume", "suffix", "language", "missing"],
)
def test_what_is_refused(run, model, sounds, words, said):
    files = () if words[0] == "no.wav" else (sounds / "a.wav",)
    code, _, err = run("transcribe", *files, *words, "--model", model)
    assert code in (1, 2)
    assert said in err
