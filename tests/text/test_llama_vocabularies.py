"""llama.cpp's own vocabulary files on odd texts, against llama-cpp-python.

They lie in the source distribution of llama-cpp-python (`vendor/llama.cpp/models`), 70 MB that are
not fetched for this: `TALLOW_TEST_VOCABULARIES` names the folder.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from odd_texts import odd_texts
from tallow.formats.gguf import open_gguf
from tallow.text import Tokenizer

pytestmark = [pytest.mark.needs_llama_cpp, pytest.mark.slow]

FOLDER = os.environ.get("TALLOW_TEST_VOCABULARIES")
# transformers is followed there, and the ids differ: docs/guide/formats.md says in what.
OTHERWISE = ("bert-bge", "nomic-bert-moe", "deepseek-llm")


@pytest.fixture(scope="module")
def files():
    if FOLDER is None:
        pytest.skip("TALLOW_TEST_VOCABULARIES names no folder of vocabularies")
    found = {
        path.stem.removeprefix("ggml-vocab-"): path for path in Path(FOLDER).glob("*-vocab-*.gguf")
    }
    assert found, f"TALLOW_TEST_VOCABULARIES: no vocabularies in {FOLDER}"
    return found


def opened(path):
    import llama_cpp

    metadata = dict(open_gguf(path).metadata)
    theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return metadata, Tokenizer.from_gguf(metadata), theirs


def special_of(metadata):
    kinds = zip(
        metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"], strict=True
    )
    return tuple(text for text, kind in kinds if kind in (2, 3, 4))[:100]


def test_ids_of_odd_texts(files):
    for name in files.keys() - set(OTHERWISE):
        metadata, ours, theirs = opened(files[name])
        for i, text in enumerate(odd_texts(2000, special_of(metadata))):
            for parse in (False, True):
                whole = i % 4 == 0
                expected = theirs.tokenize(text.encode(), add_bos=whole, special=parse)
                found = ours.encode(text, add_special=whole, parse_special=parse)
                assert found == expected, (name, ascii(text), parse)


def test_bytes_of_tokens(files):
    """All but llama.cpp's stand-in for a token that is not spelled in bytes, and `</s>` of text."""
    import llama_cpp

    room = ctypes.create_string_buffer(1 << 16)
    for name, path in files.items():
        metadata, ours, theirs = opened(path)
        vocab = llama_cpp.llama_model_get_vocab(theirs.model)
        for index in range(ours.vocab_size):
            for special in (False, True):
                size = llama_cpp.llama_token_to_piece(vocab, index, room, len(room), 0, special)
                expected = room.raw[:size]
                ordinary = metadata["tokenizer.ggml.token_type"][index] == 1
                if b"[UNK_BYTE_" in expected or (ordinary and ours.id_to_token(index) == "</s>"):
                    continue
                assert ours.piece(index, not special) == expected, (name, index)
