"""Folders with vocabulary files alone: transformers' ids, texts and special tokens."""

import base64
import json
import zlib
from pathlib import Path

import pytest

from formats.protobuf_bytes import number, piece, sized
from odd_texts import odd_texts
from tallow.errors import FormatError, ModelError
from tallow.text import Tokenizer
from text.tiny_tokenizers import CASES, write_folder

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/text/tokenizers.json").read_text())


def unpack(name, folder):
    files = json.loads(zlib.decompress(base64.b64decode(GOLDEN[name]["files"])))
    for file, content in files.items():
        binary = file.endswith((".model", ".spm"))
        (folder / file).write_bytes(base64.b64decode(content) if binary else content.encode())
    return folder


def ids_of(tokenizer, text, split):
    """What a batch of this one text holds."""
    one = text.split() or ["a"] if split else text
    pads = tokenizer.pad_id is not None
    return tokenizer.batch([one], padding=pads, is_split_into_words=split).input_ids.tolist()[0]


def test_every_case_has_a_golden():
    assert {*GOLDEN} == {*CASES}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", CASES)
def test_ids_and_texts_are_those_of_transformers(name, engine, tmp_path):
    golden = GOLDEN[name]
    tokenizer = Tokenizer.from_folder(unpack(name, tmp_path), engine=engine)
    assert tokenizer.vocab_size == golden["size"]
    for role, index in golden["special"].items():
        assert getattr(tokenizer, f"{role}_id") == index, role
    for text, ids, decoded, bare in golden["rows"]:
        assert ids_of(tokenizer, text, name == "layoutlmv3") == ids, ascii(text)
        assert tokenizer.decode(ids, skip_special_tokens=False) == decoded, ascii(text)
        assert tokenizer.decode(ids) == bare, ascii(text)


@pytest.mark.parametrize("name", [name for name in CASES if "pair" in GOLDEN[name]])
def test_pairs_are_those_of_transformers(name, tmp_path):
    golden, tokenizer = GOLDEN[name], Tokenizer.from_folder(unpack(name, tmp_path))
    found = tokenizer.batch("a b c", "d e", padding=False, return_token_type_ids=True)
    assert [found.input_ids.tolist()[0], found.token_type_ids.tolist()[0]] == golden["pair"]
    typed = tokenizer.batch("a", padding=False).token_type_ids is not None
    assert typed == golden["typed"]


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore:This sequence already has")
@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("name", [name for name in CASES if name != "layoutlmv3"])
def test_odd_texts_as_transformers(name, tmp_path):
    """Larger vocabularies, cut and padded batches and pairs, on many texts."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    write_folder(name, tmp_path, size=1500)
    oracle = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    ours = Tokenizer.from_folder(tmp_path)
    texts = odd_texts(250, tuple(oracle.all_special_tokens[:6]))
    pads = oracle.pad_token is not None
    for text in texts:
        ids = oracle(text)["input_ids"]
        assert ids_of(ours, text, False) == ids, ascii(text)
        for skip in (False, True):
            wanted = oracle.decode(ids, skip_special_tokens=skip)
            assert ours.decode(ids, skip_special_tokens=skip) == wanted, ascii(text)
    if not pads:
        return
    for call in (
        {"padding": True},
        {"padding": "max_length", "truncation": True, "max_length": 16},
        {"padding": True, "truncation": "only_first", "max_length": 600, "pad_to_multiple_of": 8},
    ):
        for pairs in (None, texts[::-1]):
            wanted = oracle(texts, pairs, return_tensors="np", **call)
            found = ours.batch(texts, pairs, **call)
            assert found.input_ids.tolist() == wanted["input_ids"].tolist()
            assert found.attention_mask.tolist() == wanted["attention_mask"].tolist()
            types = wanted.get("token_type_ids")
            assert (None if types is None else types.tolist()) == (
                None if found.token_type_ids is None else found.token_type_ids.tolist()
            )


HEAD = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, ModelError, "expected a tokenizer: tokenizer.json, vocab.txt"),
        ({"tokenizer_config.json": '{"tokenizer_class": "TapasTokenizer"}', "vocab.txt": "a"},
         ModelError, "got Tapas"),
        ({"vocab.txt": ""}, FormatError, "vocab.txt: vocab: expected at least one token"),
        ({"tokenizer_config.json": '{"tokenizer_class": "MarianTokenizer"}', "vocab.json": "{}"},
         ModelError, "expected a tokenizer with a source.spm, got none"),
        ({"tokenizer_config.json": '{"tokenizer_class": "Marian", "separate_vocabs": true}'},
         ModelError, "separate_vocabs: expected one vocabulary"),
        ({"tokenizer_config.json": '{"tokenizer_class": "ByT5Tokenizer", "extra_ids": 1e9}'},
         FormatError, "extra_ids: expected a number up to"),
        ({"vocab.txt": b"[PAD]\n\xff\n"}, FormatError, "vocab.txt: content: expected UTF-8"),
        ({"vocab.txt": "[PAD]\n", "tokenizer_config.json": '{"added_tokens_decoder": {"7": '
          '{"content": "[CLS]"}}}'}, FormatError, "added_tokens_decoder: expected id 1"),
        ({"config.json": '{"model_type": "roberta"}'}, ModelError, "expected a vocab.json"),
        ({"config.json": '{"model_type": "roberta"}', "vocab.json": "{"}, FormatError,
         "vocab.json: content: expected JSON"),
        ({"config.json": '{"model_type": "roberta"}', "vocab.json": '{"a": "b"}'}, FormatError,
         "vocab.json: content: expected tokens with their ids"),
        ({"config.json": '{"model_type": "roberta"}', "vocab.json": '{"a": 0}'}, FormatError,
         "merges.txt: file: expected a readable file"),
        ({"config.json": '{"model_type": "roberta"}', "vocab.json": '{"a": 0}',
          "merges.txt": "a a\n"}, FormatError, "merges.txt: line 1: expected two tokens"),
        ({"vocab.txt": "[PAD]", "tokenizer_config.json": '{"unk_token": []}'}, FormatError,
         "tokenizer_config.json: unk_token: expected a text"),
        ({"spiece.model": HEAD + piece("a"), "tokenizer_config.json":
          '{"tokenizer_class": "T5Tokenizer", "extra_ids": 1000000000000}'}, FormatError,
         "extra_ids: expected a number up to"),
        ({"sentencepiece.bpe.model": HEAD + piece("a"), "tokenizer_config.json":
          '{"tokenizer_class": "MBartTokenizer", "src_lang": [1]}'}, FormatError, "lang_token"),
        ({"config.json": '{"model_type": "t5"}'}, ModelError, "expected one of sentencepiece"),
        ({"config.json": '{"model_type": "t5"}', "spiece.model": b"no"}, FormatError,
         "spiece.model: ModelProto"),
        ({"config.json": '{"model_type": "t5"}', "spiece.model": HEAD + sized(2, number(3, 2))},
         FormatError, "model_type: expected unigram, got bpe"),
        ({"sentencepiece.bpe.model": HEAD + piece("a"), "tokenizer_config.json":
          '{"tokenizer_class": "MBartTokenizer", "src_lang": "xx"}'}, FormatError,
         "lang_token: expected a token of the vocabulary, got xx"),
    ],
)  # fmt: skip
def test_damaged_folders_give_one_clear_error(tmp_path, files, error, message):
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(error, match=message):
        Tokenizer.from_folder(tmp_path)


def test_the_end_of_a_line_is_no_part_of_a_token(tmp_path):
    lines = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a \u2028", "")
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(lines).encode())
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.encode("a b") == [2, 4, 1, 3]
    assert tokenizer.token_to_id("[MASK]") == 5  # the class's own, which the file has not
