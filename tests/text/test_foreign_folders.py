"""Tokenizers beside checkpoints whose code is not transformers': SentencePiece's and tiktoken's."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import unicodedata

import pytest

import tallow as tl
from formats.protobuf_bytes import number, piece, sized
from models.gguf_families import written
from models.resized import resized
from odd_texts import odd_texts
from tallow.errors import FormatError, ModelError
from tallow.formats.gguf import open_gguf
from tallow.text import Tokenizer
from tallow.text.tables import tokenizer_tables
from tallow.text.vocab import clean

WORDS = ["▁", "a", "b", "▁a", "ab", "▁ab", "c", "abc", "1", "▁c"]


def spm_model():
    """Pairs by score, bytes, a piece that is never cut, and a name to be changed."""
    raw = piece("<unk>", 0.0, 2) + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3)
    raw += b"".join(piece(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256))
    raw += b"".join(piece(word, -float(i)) for i, word in enumerate(WORDS))
    raw += piece("bc", 0.0, 4) + piece("[UNUSED_TOKEN_1]", -50.0)
    trainer = number(3, 2) + number(35, 1)
    return raw + sized(2, trainer) + sized(3, sized(1, "identity") + number(4, 0))


def spm_folder(folder, name, **config):
    (folder / "tokenizer.model").write_bytes(spm_model())
    rows = {"tokenizer_class": f"{name}Tokenizer", **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(rows))
    return Tokenizer.from_folder(folder)


def ids_of(*words):
    return [259 + ([*WORDS, "bc"].index(word)) for word in words]


def test_baichuan_begins_with_nothing(tmp_path):
    ours = spm_folder(tmp_path, "Baichuan")
    assert ours.encode("ab  c") == ids_of("▁ab", "▁", "▁c")
    assert ours.encode("abc") == ids_of("▁a", "bc")  # its user's piece first
    assert ours.encode("é") == [*ids_of("▁"), 3 + 0xC3, 3 + 0xA9]
    assert ours.encode("a</s>b", parse_special=True) == [*ids_of("▁a"), 2, *ids_of("▁", "b")]
    assert 2 not in ours.encode("a</s>b")
    assert (ours.eos_ids, ours.bos_id, ours.eos_id, ours.unk_id) == ({2}, 1, 2, 0)
    assert spm_folder(tmp_path, "Baichuan", add_bos_token=True).encode("a") == [1, *ids_of("▁a")]


def test_internlm_calls_pieces_otherwise(tmp_path):
    rows = {"270": {"content": "<|im_end|>", "special": True}}
    ours = spm_folder(tmp_path, "InternLM2", added_tokens_decoder=rows)
    assert ours.encode("ab<|im_end|>", parse_special=True) == [1, *ids_of("▁ab"), 270]
    assert ours.eos_ids == {2, 270}
    assert ours.token_to_id("[UNUSED_TOKEN_1]") is None


def test_chatglm_begins_with_two_tokens(tmp_path):
    ours = spm_folder(tmp_path, "ChatGLM")
    assert ours.vocab_size == 271 + 9
    assert ours.encode("a") == [272, 274, *ids_of("▁a")]
    assert ours.encode("<|user|>a", False, True) == [277, *ids_of("▁a")]
    text = " ab c\n é"
    assert ours.decode(ours.encode(text, add_special=False)) == text


@pytest.mark.needs_torch
def test_ids_are_sentencepieces(tmp_path):
    library = pytest.importorskip("sentencepiece")
    theirs = library.SentencePieceProcessor(model_proto=spm_model())
    ours = spm_folder(tmp_path, "Baichuan")
    for text in map(clean, [*odd_texts(300), "abcabc", " a  b\n"]):
        assert ours.encode(text) == theirs.encode(text), ascii(text)


def test_ids_far_away_are_refused(tmp_path):
    rows = {"999999999": {"content": "<x>", "special": True}}
    with pytest.raises(FormatError, match="an id near the 271"):
        spm_folder(tmp_path, "InternLM2", added_tokens_decoder=rows)


RANKS = [bytes([byte]) for byte in range(256)]
RANKS += [b"he", b"ll", b"hell", b"hello", b" w", b" wo", "é".encode(), "你".encode()[:2]]
RANKS += ["你".encode(), b"12"]


def tiktoken_folder(folder, name, file, **config):
    rows = b"".join(base64.b64encode(raw) + b" %d\n" % i for i, raw in enumerate(RANKS))
    (folder / file).write_bytes(rows)
    values = {"tokenizer_class": f"{name}Tokenizer", **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    return folder


GLM = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|user|>"]
ADDED = {str(266 + i): {"content": text, "special": True} for i, text in enumerate(GLM)}


def test_qwen_composes_characters(tmp_path):
    ours = Tokenizer.from_folder(tiktoken_folder(tmp_path, "QWen", "qwen.tiktoken"))
    assert ours.encode("hello wo12") == [259, 261, ord("1"), ord("2")]
    assert ours.encode("e\u0301 你") == [262, ord(" "), 264]
    assert ours.encode("<|im_end|>", parse_special=True) == [268]
    assert 268 not in ours.encode("<|im_end|>")
    assert ours.eos_ids == {266, 268}
    assert ours.vocab_size == 266 + 208


def test_glm_begins_with_two_tokens(tmp_path):
    folder = tiktoken_folder(tmp_path, "ChatGLM4", "tokenizer.model", added_tokens_decoder=ADDED)
    ours = Tokenizer.from_folder(folder)
    assert ours.encode("12") == [268, 270, 265]
    assert ours.encode("<|user|>12", False, True) == [272, 265]


@pytest.mark.parametrize("name", ["QWen", "ChatGLM4"])
def test_engines_give_the_same(name, tmp_path):
    file = "qwen.tiktoken" if name == "QWen" else "tokenizer.model"
    folder = tiktoken_folder(tmp_path, name, file, added_tokens_decoder=ADDED)
    python, theirs = (Tokenizer.from_folder(folder, engine=each) for each in ("python", "hf"))
    for text in map(clean, odd_texts(200)):
        ids = python.encode(text, add_special=False)
        assert ids == theirs.encode(text, add_special=False), ascii(text)
        whole = unicodedata.normalize("NFC", text) if name == "QWen" else text
        assert python.decode(ids) == whole


@pytest.mark.parametrize(
    "line",
    [
        b"x", b"aGk= x", b"!! 3", b"aGk= 0", b" 300", b"aGk= 99999999999", b"aGk= 16777215",
        b"YQ== 300",
    ],
)  # fmt: skip
def test_damaged_ranks_are_told(line, tmp_path):
    folder = tiktoken_folder(tmp_path, "QWen", "qwen.tiktoken")
    with (folder / "qwen.tiktoken").open("ab") as file:
        file.write(line)
    with pytest.raises(FormatError, match=r"qwen\.tiktoken: line 267: expected bytes in base64"):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize("name", ["QWen", "Baichuan"])
def test_a_folder_without_its_file_is_told(name, tmp_path):
    config = {"tokenizer_class": f"{name}Tokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="found n"):
        Tokenizer.from_folder(tmp_path)


def test_what_csrc_has_no_form_for_is_refused(tmp_path):
    with pytest.raises(ModelError, match="spm_folder"):
        tokenizer_tables(spm_folder(tmp_path, "Baichuan"))


@pytest.fixture
def qwen(tmp_path):
    """A folder of a model with its tokenizer."""
    tables = ("transformer.wte.weight", "lm_head.weight")
    made = resized("qwen", tmp_path / "qwen", 480, tables)
    return tiktoken_folder(made, "QWen", "qwen.tiktoken")


def test_a_gguf_file_of_it_gives_the_same(qwen, tmp_path):
    path, losses = written(qwen, tmp_path / "model.gguf")
    assert all(each.startswith("tokenizer: 'e\\u0301'") for each in losses)
    theirs = Tokenizer.from_folder(qwen)
    with open_gguf(path) as file:
        assert file.metadata["tokenizer.ggml.pre"] == "qwen2"
        ours = Tokenizer.from_gguf(file.metadata)
    for text in map(clean, odd_texts(100)):
        whole = unicodedata.normalize("NFC", text)
        assert ours.encode(whole) == theirs.encode(text), ascii(text)
    answers = [
        tl.LLM(str(place)).generate("hello", max_tokens=6, temperature=0.0).tokens
        for place in (qwen, path)
    ]
    assert answers[0] == answers[1]


@pytest.mark.needs_llama_cpp
def test_llama_cpp_cuts_alike(qwen, tmp_path):
    import llama_cpp

    path, _ = written(qwen, tmp_path / "model.gguf")
    with contextlib.redirect_stderr(io.StringIO()):
        theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    ours = Tokenizer.from_folder(qwen)
    for text in ("hello wo12", "  he\n\nllo's 你 é", "<|im_end|>x"):
        for special in (False, True):
            found = theirs.tokenize(text.encode(), add_bos=False, special=special)
            assert ours.encode(text, parse_special=special) == list(found), ascii(text)
