"""CANINE: ids are code points, special tokens private characters."""

import json

import pytest

from odd_texts import odd_texts
from tallow.text import StreamDecoder, Tokenizer

MASK = "\ue003"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "canine"}))
    return tmp_path


def test_ids_are_code_points(folder):
    tokenizer = Tokenizer.from_folder(folder)
    for text in odd_texts(200):
        ids = tokenizer.batch(text).input_ids.tolist()[0]
        assert ids == [0xE000, *map(ord, text), 0xE001]
        assert tokenizer.decode(ids) == text.replace("\0", "").replace("\ue000", "")
    assert tokenizer.encode("a", add_special=False) == [97]
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id) == (0, 0xE000, 0xE001)
    assert (tokenizer.mask_id, tokenizer.model_max_length) == (0xE003, 2048)
    assert (tokenizer.vocab_size, tokenizer.token_to_id("é")) == (0x110000, 0xE9)
    decoder = StreamDecoder(tokenizer)
    assert "".join(map(decoder.push, [97, 0x1F600])) == "a😀"


def test_a_mask_swallows_the_space_before_it(folder):
    tokenizer = Tokenizer.from_folder(folder)
    ids = tokenizer.encode(f"a {MASK} b", add_special=False)
    assert ids == [97, 0xE003, 32, 98]


@pytest.mark.needs_torch
def test_batches_are_those_of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    oracle = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer = Tokenizer.from_folder(folder)
    texts = odd_texts(200, (MASK, f" {MASK}", "\ue000", "\ue004"))
    for length in (3, 4, 5, 8, 12, 40):
        for pairs in (None, texts[::-1]):
            call = {"padding": True, "truncation": True, "max_length": length}
            found = tokenizer.batch(texts, pairs, **call)
            wanted = oracle(texts, pairs, return_tensors="np", **call)
            for name in ("input_ids", "attention_mask", "token_type_ids"):
                assert getattr(found, name).tolist() == wanted[name].tolist()
