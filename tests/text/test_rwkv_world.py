"""RWKV's tokenizer: a folder's file, a GGUF file of it, and llama.cpp's reading of that."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

import tallow as tl
from models.gguf_families import written
from models.resized import resized
from odd_texts import odd_texts
from tallow.errors import FormatError, ModelError
from tallow.formats.gguf import open_gguf
from tallow.text import StreamDecoder, Tokenizer
from tallow.text.tables import tokenizer_tables

WORDS = [
    " the", "the", " th", "\n\n", "\t\t", "it's", '"', "'\"", "\\n", "\\", "3.1", "3.14",
    "你好", "é", "<s", "User:", " User", "😀", "\r\n",
]  # fmt: skip
PIECES = [bytes([byte]) for byte in range(256)]
PIECES += [word.encode() for word in WORDS if len(word.encode()) > 1]
PIECES += ["你".encode()[:2], "😀".encode()[:3], b"\xff\xfe"]
TEXTS = [
    "", "hello", " the theory", "it's \"the\" '\" \\n \\x41 3.141", "你好世界 😀 é e\u0301",
    "<s>x</s>", "User: hi\n\nAssistant:\t\t\r\n", "\0\x7f\x80",
]  # fmt: skip


def line(index, raw):
    """As the published file has it: text where the bytes are UTF-8, else bytes."""
    try:
        return f"{index} {raw.decode()!r} {len(raw)}\n"
    except UnicodeDecodeError:
        return f"{index} {raw!r} {len(raw)}\n"


def longest(text):
    """A search that tries every piece at each place."""
    raw, at, ids = text.encode(), 0, []
    while at < len(raw):
        found = max((p for p in PIECES if raw.startswith(p, at)), key=len)
        ids.append(PIECES.index(found) + 1)
        at += len(found)
    return ids


@pytest.fixture
def folder(tmp_path):
    """An RWKV 7 whose words are those of a small vocabulary."""
    tables = ("model.embeddings.weight", "lm_head.weight")
    made = resized("rwkv7", tmp_path / "rwkv", len(PIECES) + 8, tables, eos_token_id=0)
    lines = [line(index, raw) for index, raw in enumerate(PIECES, 1)]
    (made / "rwkv_vocab_v20230424.txt").write_text("".join(lines), "utf-8", newline="")
    (made / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RwkvTokenizer"}))
    return made


def test_the_longest_piece_is_taken(folder):
    ours = Tokenizer.from_folder(folder)
    for text in [*TEXTS, *odd_texts(300)]:
        ids = ours.encode(text)
        assert ids == longest(text), ascii(text)
        assert ours.decode(ids) == text
        stream = StreamDecoder(ours)
        assert "".join([*map(stream.push, ids), stream.finish()]) == text


def test_the_end_of_a_text_counts_where_it_may(folder):
    ours = Tokenizer.from_folder(folder)
    assert ours.eos_ids == {0}
    assert ours.encode("a<s>", parse_special=True)[-1] == 0
    assert 0 not in ours.encode("a<s>")


def test_a_gguf_file_of_it_gives_the_same(folder, tmp_path):
    path, losses = written(folder, tmp_path / "model.gguf")
    assert not losses
    theirs = Tokenizer.from_folder(folder)
    with open_gguf(path) as file:
        assert file.metadata["tokenizer.ggml.model"] == "rwkv"
        ours = Tokenizer.from_gguf(file.metadata)
    for text in [*TEXTS, *odd_texts(100)]:
        assert ours.encode(text) == theirs.encode(text), ascii(text)
    assert ours.vocab_size == theirs.vocab_size + 7
    assert ours.decode([ours.vocab_size - 1]) == ""
    answers = [
        tl.LLM(str(place)).generate("User: the", max_tokens=6, temperature=0.0)
        for place in (folder, path)
    ]
    assert answers[0].tokens == answers[1].tokens


def test_what_other_engines_have_no_form_for_is_refused(folder):
    with pytest.raises(ModelError, match="as a trie"):
        tokenizer_tables(Tokenizer.from_folder(folder))


@pytest.mark.parametrize(
    "text",
    [
        "x 'a' 1", "0 'a' 1", "1 'a' 2", "1 open('a') 1", "1 'a'", "1 b'\\xz' 1", "9" * 99999,
        "3 'b' 1", "16777215 'b' 1", "1 '\\ud800' 1",
    ],
)  # fmt: skip
def test_damaged_lines_are_told(folder, text):
    file = folder / "rwkv_vocab_v20230424.txt"
    file.write_text(f"{line(3, b'abc')}{text}\n", "utf-8")
    with pytest.raises(FormatError, match="line 2: expected an id"):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"1 '\xff' 1\n"], ids=["empty", "blank", "bytes"])
def test_files_without_lines_are_told(folder, raw):
    (folder / "rwkv_vocab_v20230424.txt").write_bytes(raw)
    with pytest.raises(FormatError, match="(at least one token|byte 3: expected UTF-8)"):
        Tokenizer.from_folder(folder)


def test_a_folder_without_the_file_is_told(folder):
    (folder / "rwkv_vocab_v20230424.txt").unlink()
    with pytest.raises(ModelError, match=r"expected rwkv_vocab_v20230424\.txt"):
        Tokenizer.from_folder(folder)


@pytest.mark.needs_llama_cpp
def test_llama_cpp_cuts_alike(folder, tmp_path):
    import llama_cpp

    path, _ = written(folder, tmp_path / "model.gguf")
    with contextlib.redirect_stderr(io.StringIO()):
        theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    ours = Tokenizer.from_folder(folder)
    for text in TEXTS:
        if "<s>" not in text:  # which llama.cpp takes for the end wherever it stands
            found = theirs.tokenize(text.encode(), add_bos=False, special=False)
            assert ours.encode(text) == list(found), ascii(text)
