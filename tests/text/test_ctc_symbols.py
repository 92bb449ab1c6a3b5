"""The symbols of CTC models, against transformers' Wav2Vec2CTCTokenizer and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tallow.errors import FormatError, ModelError
from tallow.text.ctc_symbols import CtcSymbols, Span

VOCAB = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "A": 5, "B": 6, "CH": 7, ".": 8}


def folder(path, vocab=VOCAB, **config):
    (path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    if config:
        (path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def test_runs_are_one_symbol_and_blanks_none(tmp_path):
    found = CtcSymbols.from_folder(folder(tmp_path)).spell([0, 5, 5, 0, 5, 4, 4, 0, 6, 0, 0, 7])
    assert found.text == "AA BCH"
    assert found.words == [Span("AA", 1, 5), Span("BCH", 8, 12)]
    assert [span.text for span in found.symbols] == ["A", "A", " ", "B", "CH"]


def test_labels_of_a_text(tmp_path):
    symbols = CtcSymbols.from_folder(folder(tmp_path, do_lower_case=True))
    assert symbols.ids("a bé") == [5, 4, 6, 3]
    assert symbols.spell([5, 4, 6]).text == "a b"
    assert symbols.blank_id == 0


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"do_lower_case": True, "clean_up_tokenization_spaces": True},
        {"replace_word_delimiter_char": "_"},
        {"pad_token": "B", "added_tokens_decoder": {"12": {"content": "<x>", "special": True}}},
    ],
    ids=["plain", "lower", "delimiter", "added"],
)
def test_spelling_is_that_of_transformers(config, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder(tmp_path, tokenizer_class="Wav2Vec2CTCTokenizer", **config)
    other = transformers.Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    symbols = CtcSymbols.from_folder(tmp_path)
    for seed in range(20):
        ids = np.random.default_rng(seed).integers(0, 14, 30).tolist()
        want = other.decode(ids, output_word_offsets=True, output_char_offsets=True)
        found = symbols.spell(ids)
        assert found.text == want.text
        for spans, key, told in (
            (found.words, "word", want.word_offsets),
            (found.symbols, "char", want.char_offsets),
        ):
            listed = [(each[key], each["start_offset"], each["end_offset"]) for each in told]
            assert [tuple(span) for span in spans] == listed


def test_one_vocabulary_of_several_languages(tmp_path):
    both = {"eng": VOCAB, "deu": {**VOCAB, "A": 6, "B": 5}}
    folder(tmp_path, both, target_lang="eng")
    assert CtcSymbols.from_folder(tmp_path).spell([5]).text == "A"
    assert CtcSymbols.from_folder(tmp_path, "deu").spell([5]).text == "B"
    with pytest.raises(ModelError, match="language: expected one of deu, eng, got 'fra'"):
        CtcSymbols.from_folder(tmp_path, "fra")


@pytest.mark.parametrize(
    ("vocab", "error", "told"),
    [
        ({"A": 0}, ModelError, "the blank '<pad>'"),
        ({"A": "0"}, FormatError, "ids by symbol"),
        ({"A": -1}, FormatError, "ids by symbol"),
        ({"A": 1 << 30}, FormatError, "ids by symbol"),
    ],
)
def test_vocabularies_that_do_not_fit(vocab, error, told, tmp_path):
    with pytest.raises(error, match=told):
        CtcSymbols.from_folder(folder(tmp_path, vocab))


def test_a_folder_without_symbols(tmp_path):
    with pytest.raises(ModelError, match=r"vocab\.json: expected the symbols of a CTC model"):
        CtcSymbols.from_folder(tmp_path)
