"""Transcriber by models without Whisper's rules: CTC models and Moonshine."""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from speech_made import make_vad
from tallow.errors import ArgumentError, ModelError
from tallow.tasks.ctc import CtcReader
from tallow.tasks.plain_speech import quiet_pieces

SYMBOLS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}
SYMBOLS |= {chr(ord("A") + n): 5 + n for n in range(19)}


@pytest.fixture(scope="module")
def ctc(tmp_path_factory):
    made = tmp_path_factory.mktemp("ctc") / "model"
    shutil.copytree(Case("wav2vec2_ctc").folder, made)
    (made / "vocab.json").write_text(json.dumps(SYMBOLS))
    return made


@pytest.fixture(scope="module")
def moonshine(tmp_path_factory):
    made = tmp_path_factory.mktemp("moonshine") / "model"
    shutil.copytree(Case("moonshine_generation").folder, made)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{n}": n for n in range(3, 48)}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}
    special = [
        {"id": n, "content": text, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for text, n in list(words.items())[:3]
    ]  # fmt: skip
    (made / "tokenizer.json").write_text(
        json.dumps(
            {"version": "1.0", "model": model, "added_tokens": special, "normalizer": None,
             "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None}
        )
    )  # fmt: skip
    return made


def sound(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.2, int(seconds * 16000)).astype(np.float32)


def test_a_ctc_model_writes_what_its_reader_reads(ctc):
    wave = sound(0.4)
    found = tl.Transcriber(ctc).transcribe(wave, word_timestamps=True)
    (want,) = CtcReader(tl.models.load(ctc)).read([tl.tensor(wave)])
    assert found.text == want.text
    assert found.duration == 0.4
    times = [(w.text.strip(), w.start, w.end) for w in found.words]
    assert times == [(w.text, w.start, min(w.end, 0.4)) for w in want.words]
    assert all(0 < w.probability <= 1 for w in found.words)
    assert found.segments[-1].end <= 0.4
    assert found.to_text("srt").startswith("1\n00:00:00,")
    plain = tl.Transcriber(ctc).transcribe([wave, wave])
    assert [each.text for each in plain] == [want.text] * 2
    assert not plain[0].words


def test_moonshine_writes_what_its_model_generates(moonshine):
    wave, told = sound(1.5), []
    task = tl.Transcriber(moonshine)
    found = task.transcribe(wave, progress=lambda done, whole: told.append((done, whole)))
    rows = task.model.generate(tl.tensor(wave).unsqueeze(0), max_new_tokens=9)
    ids = [int(n) for n in rows[0].tolist()]
    assert list(found.segments[0].tokens) == ids
    assert found.text == task.model.tokenizer.decode(ids).strip()
    assert told == [(1.5, 1.5)]
    assert task.transcribe(sound(0.01)).duration == 0.01


def test_long_sounds_are_cut_where_it_is_quiet():
    wave = sound(70)
    wave[28 * 16000 : 29 * 16000] = 0
    pieces = quiet_pieces(tl.tensor(wave))
    assert pieces[0][0] == 0
    assert 28 * 16000 <= pieces[0][1] <= 29 * 16000
    assert pieces[-1][1] == len(wave)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces))
    assert all(0 < end - begin <= 30 * 16000 for begin, end in pieces)
    assert quiet_pieces(tl.zeros(10)) == [(0, 10)]


def test_only_speech_is_heard(ctc, tmp_path):
    wave = np.full(32000, 1e-4, np.float32)
    wave[12000:28000] = np.where(np.arange(16000) % 3, 0.9, -0.9)
    task = tl.Transcriber(ctc, vad=make_vad(tmp_path / "loud_16k.onnx"))
    found = task.transcribe(wave, vad=True, word_timestamps=True)
    assert found.duration == 2
    assert all(0.2 <= word.start < word.end <= 2 for word in found.words)


def test_what_these_models_do_not_know_is_told(ctc, moonshine, tmp_path):
    task = tl.Transcriber(ctc)
    for name, value in (("language", "en"), ("task", "translate"), ("initial_prompt", "a")):
        with pytest.raises(ArgumentError, match=f"no {name} for this model"):
            task.transcribe(sound(0.2), **{name: value})
    with pytest.raises(ArgumentError, match="a Whisper model for this"):
        list(tl.Transcriber(moonshine).stream([sound(0.2)]))
    with pytest.raises(ArgumentError, match="does not tell when words are said"):
        tl.Transcriber(moonshine).transcribe(sound(0.2), word_timestamps=True)
    with pytest.raises(ArgumentError, match="a Whisper model for this"):
        task.detect_language(sound(0.2))
    shutil.copytree(Case("wav2vec2_ctc").folder, tmp_path / "bare")
    with pytest.raises(ModelError, match=r"vocab\.json"):
        tl.Transcriber(tmp_path / "bare")
