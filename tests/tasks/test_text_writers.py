"""Translator and Summarizer on tiny models: what transformers writes, long texts, languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ModelError
from tallow.tasks.text_parts import parts, sentences

ROOT = Path(__file__).parent.parent / "golden" / "translators"
CASES = sorted(path.name for path in ROOT.iterdir())
TEXTS = [
    "The dog ate.", "A naïve ÉCOLE, 3.14!", "One two. Three four? Five!", "x", "12 o'clock, don't",
]  # fmt: skip
WRITE = {
    "num_beams": 3,
    "max_new_tokens": 12,
    "generation": {"no_repeat_ngram_size": 2, "length_penalty": 0.8},
}


def expected(name):
    rows = json.loads((ROOT / name / "expected.json").read_text())
    return [row for row in rows if row[0] != "summarization"], rows[-1][2]


@pytest.mark.parametrize("name", CASES)
def test_translations_are_those_of_transformers(name):
    for source, target, wanted in expected(name)[0]:
        translator = tl.Translator(ROOT / name, source=source, target=target, **WRITE)
        assert translator(TEXTS, batch_size=3) == wanted
        assert translator(TEXTS[2]) == wanted[2]
        whole = tl.Translator(ROOT / name, **WRITE)
        assert whole(TEXTS[0], source=source, target=target) == wanted[0]


def test_summaries_are_those_of_transformers():
    summarizer = tl.Summarizer(ROOT / "t5", **WRITE)
    assert summarizer.prefix == "summarize: "
    assert summarizer(TEXTS) == expected("t5")[1]
    plain = tl.Summarizer(ROOT / "t5", prefix="summarize: ", **WRITE)
    assert plain(TEXTS[1]) == expected("t5")[1][1]


def test_lines_stay_lines_and_nothing_of_a_long_text_is_lost():
    source, target, wanted = expected("mbart50")[0][0]
    translator = tl.Translator(ROOT / "mbart50", source=source, target=target, **WRITE)
    assert translator(f"{TEXTS[0]}\n\n  {TEXTS[3]}") == f"{wanted[0]}\n\n{wanted[3]}"
    assert translator("") == ""
    long = " ".join(TEXTS[:2] * 9)
    made = [part for part in translator.prepare(long) if not isinstance(part, str)]
    assert len(made) > 1
    assert max(len(part.ids) for part in made) <= translator.limit == 48
    texts = parts(long, lambda part: len(translator.tokenizer.encode(part)), translator.limit)
    assert " ".join(texts) == long
    assert translator(long) == " ".join(translator(text) for text in texts)


def test_what_fails_costs_no_others():
    source, target, wanted = expected("m2m_100")[0][0]
    translator = tl.Translator(ROOT / "m2m_100", source=source, target=target, **WRITE)
    outcomes = list(translator.stream([TEXTS[0], 7, TEXTS[1]], batch_size=2))
    assert [each.result for each in outcomes] == [wanted[0], None, wanted[1]]
    assert "expected a text, got int" in str(outcomes[1].error)


UNKNOWN = [
    ("m2m_100", {"source": "en", "target": "xx"}, "target: expected a language of the model"),
    ("m2m_100", {"source": "eng", "target": "fr"}, r"source: expected .*near: en.*got 'eng'"),
    ("m2m_100", {"source": "en"}, "target: expected a language of the model .*got None"),
    ("nllb", {"source": "eng", "target": "deu_Latn"}, r"source: .*\(near: eng_Latn; all: ace_"),
    ("mbart", {"target": "ro_RO"}, "source: expected a language of the model .*got None"),
    ("marian", {"target": "fr"}, r"target: expected a language of the model \(de\), got 'fr'"),
    ("marian", {"source": "en", "target": "de"}, "source: expected none"),
    ("t5", {"source": "de", "target": "en"}, "source: expected a language of the model"),
]


@pytest.mark.parametrize(("name", "languages", "words"), UNKNOWN)
def test_unknown_languages_are_refused_with_those_there_are(name, languages, words):
    with pytest.raises(ArgumentError, match=words):
        tl.Translator(ROOT / name)("a text", **languages)


def test_languages_by_name():
    assert tl.Translator(ROOT / "m2m_100").languages.targets[:3] == ("af", "am", "ar")
    assert tl.Translator(ROOT / "m2m_100").languages.source == "fr"
    assert tl.Translator(ROOT / "mbart").languages.sources[-1] == "zh_CN"
    assert tl.Translator(ROOT / "nllb").languages.source == "eng_Latn"
    assert len(tl.Translator(ROOT / "nllb").languages.targets) == 202
    assert tl.Translator(ROOT / "marian").languages.targets == ("de",)
    assert tl.Translator(ROOT / "t5").languages.targets == ("de", "fr")


def test_a_prefix_in_the_place_of_languages(tmp_path):
    shutil.copytree(ROOT / "t5", tmp_path / "t5")
    config = json.loads((tmp_path / "t5" / "config.json").read_text())
    del config["task_specific_params"]
    (tmp_path / "t5" / "config.json").write_text(json.dumps(config))
    _, target, wanted = expected("t5")[0][0]
    translator = tl.Translator(tmp_path / "t5", prefix="translate to German: ", **WRITE)
    assert translator(TEXTS) == wanted
    with pytest.raises(ArgumentError, match="target: expected none: the model names no languages"):
        translator(TEXTS, target=target)


def test_models_and_options_that_do_not_fit():
    families = ROOT.parent / "families"
    with pytest.raises(ModelError):
        tl.Translator(families / "bert_masked_lm")
    with pytest.raises(ArgumentError, match="num_beams"):
        tl.Translator(ROOT / "t5", num_beams=0)
    with pytest.raises(ArgumentError, match="names of its fields"):
        tl.Summarizer(ROOT / "t5", generation={"beams": 3})


def test_sentences_are_the_text():
    text = 'He said "Go!" and went, e.g. home. Dr. Who?  Yes… no.\n「はい。」いいえ！次'
    found = list(sentences(text))
    assert "".join(found) == text
    assert [each.strip() for each in found] == [
        'He said "Go!"', "and went, e.g. home.", "Dr.", "Who?", "Yes…", "no.", "「はい。」",
        "いいえ！", "次",
    ]  # fmt: skip


def test_parts_fit():
    assert parts("  ", len, 5) == []
    assert parts("a b", len, 5) == ["a b"]
    assert parts("One. Two. Three.", len, 10) == ["One. Two.", "Three."]
    assert parts("aaaa bbbb cccc", len, 5) == ["aaaa", "bbbb", "cccc"]
    assert "".join(parts("abcdefghij", len, 3)) == "abcdefghij"
    assert all(len(part) <= 3 for part in parts("abcdefghij klm", len, 3))
