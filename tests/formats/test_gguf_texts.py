"""Arrays of strings with an index (`Metadata.texts`) beside the same as Python strings."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tallow import _native
from tallow.formats.gguf import open_gguf, save_gguf
from tallow.formats.gguf_metadata import Metadata
from tallow.formats.gguf_types import Typed
from tallow.models import loading


def packed(texts: list[bytes]) -> bytes:
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


def random_texts(count: int, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    return [
        bytes(draw.randrange(256) for _ in range(draw.choice((0, 1, 2, 3, 7, 40))))
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 128, 5000])
def test_every_text_is_found_at_its_first_place(count: int) -> None:
    raw = random_texts(count, count)
    texts = _native.Texts(b"xx" + packed(raw) + b"yy", 2, count)
    plain = tuple(text.decode("utf-8", "surrogateescape") for text in raw)
    assert (len(texts), texts.all(), tuple(texts)) == (count, plain, plain)
    first = {text: i for i, text in reversed(list(enumerate(plain)))}
    assert [texts.find(text) for text in plain] == [first[text] for text in plain]
    assert [texts[i] for i in range(count)] == list(plain)
    assert [texts[i - count] for i in range(count)] == list(plain)


def test_a_text_that_is_not_there_has_no_place() -> None:
    texts = _native.Texts(packed([b"a", b"ab", b""]), 0, 3)
    absent = ("b", "abc", "\0", "é", "\ud800", "\udcff")
    assert [texts.find(text) for text in absent] == [None] * len(absent)


@pytest.mark.parametrize("index", [3, -4, 2**62, -(2**62)])
def test_a_number_beyond_the_array_is_refused(index: int) -> None:
    texts = _native.Texts(packed([b"a", b"b", b"c"]), 0, 3)
    with pytest.raises(IndexError, match="Texts"):
        texts[index]


@pytest.mark.parametrize(
    ("source", "at", "count"),
    [
        (b"", 0, 1),
        (packed([b"abc"])[:-1], 0, 1),
        (b"\xff" * 8, 0, 1),
        (packed([b"abc"]), 1, 1),
        (packed([b"abc"]), -1, 1),
        (packed([b"abc"]), 12, 0),
        (packed([b"abc"]), 0, -1),
        (packed([b"abc"]), 0, 2**40),
    ],
)
def test_strings_beyond_the_buffer_are_refused(source: bytes, at: int, count: int) -> None:
    with pytest.raises(ValueError, match="Texts: expected strings inside the buffer"):
        _native.Texts(source, at, count)


def test_metadata_gives_texts_of_arrays_of_strings_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "a.gguf")
    words = ["Ġa", "", "b", "b", "\udcff"]
    keys = {"words": Typed("arr[str]", words), "one": "b", "numbers": Typed("arr[i32]", [1, 2])}
    save_gguf({}, path, keys)
    file = open_gguf(path)
    texts = file.metadata.texts("words")
    assert texts is not None
    assert file.metadata.texts("one") is None
    assert file.metadata.texts("numbers") is None
    with pytest.raises(KeyError):
        file.metadata.texts("absent")
    file.close()
    assert texts.all() == tuple(words)  # it stays when the file is closed
    assert texts.find("b") == 2


def test_a_fork_finds_what_a_thread_was_indexing() -> None:
    raw = [b"%d" % i for i in range(60000)]
    source = packed(raw)
    for _ in range(8):
        texts = _native.Texts(source, 0, len(raw))
        child = os.fork()
        if child == 0:
            os._exit(0 if texts.find("59999") == 59999 and texts[7] == "7" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert texts.find("59999") == 59999


def test_an_index_that_nobody_waits_for_lets_go_of_the_buffer() -> None:
    raw = [b"%d" % i for i in range(60000)]
    source = bytearray(packed(raw))
    texts = _native.Texts(source, 0, len(raw))
    del texts
    source.clear()  # BufferError while somebody has it


def test_prepared_texts_are_given_once(tmp_path: Path) -> None:
    path = str(tmp_path / "a.gguf")
    save_gguf({}, path, {"words": Typed("arr[str]", ["a", "b"]), "one": "b"})
    with open_gguf(path) as file:
        file.metadata.prepare("words", "one", "absent")
        first, second = file.metadata.texts("words"), file.metadata.texts("words")
    assert first is not None and second is not None and first is not second
    assert first.all() == second.all() == ("a", "b")


@pytest.mark.parametrize("given", [False, True])
def test_a_language_model_indexes_its_vocabulary_while_it_is_loaded(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Metadata, "prepare", lambda self, *keys: told.extend(keys))
    monkeypatch.setattr(loading, "build", lambda *args, **options: None)
    words = Typed("arr[str]", ["a", "b"])
    keys = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": words}
    save_gguf({}, str(tmp_path / "a.gguf"), keys)
    with loading.tokenizer_next(given):
        loading.load(tmp_path / "a.gguf")
    assert told == (["tokenizer.ggml.tokens", "tokenizer.ggml.merges"] if given else [])
