"""Damaged tokenizer tables: refused with one error or read, under the address sanitizer."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from charsmaps import charsmap
from native_text import NativeTokenizer, library_path
from tallow.text import ChatTemplate, Tokenizer
from tallow.text.chat_tables import plain_chat
from tallow.text.chat_template import CHATML
from tallow.text.tables import tokenizer_tables
from tallow.text.vocab import byte_chars

CHILD = Path(__file__).with_name("hostile_tables.py")
SANITIZER = "address,undefined"
RUNS = os.environ.get("TALLOW_FUZZ_RUNS", "800").split()  # and maybe a seed; `make fuzz` sets it


def gguf(model, tokens, kinds=None, **more):
    keys = {"model": model, "tokens": tokens, "token_type": kinds or [1] * len(tokens), **more}
    return Tokenizer.from_gguf({f"tokenizer.ggml.{key}": v for key, v in keys.items()},
                               engine="python")  # fmt: skip


def small():
    """A tokenizer of each model, with few tokens."""
    chars = [*byte_chars()]
    kinds = [1] * 257 + [3, 4]
    yield "bpe", gguf("gpt2", [*chars, "ab", "<|im_end|>", "<think>"], kinds, pre="llama-bpe",
                      merges=["a b"], eos_token_id=257)  # fmt: skip
    yield "bpe_digits", gguf("gpt2", [*chars, "ab"], pre="afmoe", merges=["a b"])
    yield "bpe_chars", gguf("gemma4", ["<bos>", "a", "b", "ab", "<0x41>"], [3, 1, 1, 1, 6],
                            merges=["a b"], bos_token_id=0)  # fmt: skip
    yield "spm", gguf("llama", ["<unk>", "<s>", "</s>", "<0x20>", "▁", "a", "b", "ab", "▁a"],
                      [2, 3, 3, 6, 1, 1, 1, 1, 1], scores=[0.0] * 9)  # fmt: skip
    yield "unigram", gguf(
        "t5", ["<pad>", "</s>", "<unk>", "▁", "a", "ab", "VIII"], [3, 3, 2, 1, 1, 1, 1],
        scores=[-1.0, -2.0, -3.0, -2.5, -1.5, -1.0, -4.0], add_space_prefix=True,
        precompiled_charsmap=charsmap({"Ⅷ": "VIII", "½": "1"}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables():
    chat = plain_chat(ChatTemplate(CHATML))
    return {name: tokenizer_tables(tokenizer, chat) for name, tokenizer in small()}


def test_damaged_tables_end_nothing(tables, tmp_path):
    for name, raw in tables.items():
        (tmp_path / f"{name}.tables").write_bytes(raw)
    compiler = os.environ.get("CXX") or "g++"
    parts = ("libasan.so", "libubsan.so", "libstdc++.so")
    found = [
        subprocess.run([compiler, f"-print-file-name={part}"], capture_output=True, text=True)
        for part in parts
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(done.stdout.strip() for done in found),
        "ASAN_OPTIONS": "detect_leaks=0:max_allocation_size_mb=512",
        "UBSAN_OPTIONS": "halt_on_error=1",
        "TALLOW_TEXT_LIBRARY": str(library_path(SANITIZER)),
    }
    command = [sys.executable, str(CHILD), str(tmp_path), *RUNS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    counts = json.loads(done.stdout)
    assert counts["json: read"] > 500 < counts["json: refused"]
    assert counts["cut: refused"] > 10 * counts.get("cut: read", 0), "but what fills a section up"
    assert counts["changed: read"] > 500 < counts["changed: refused"]


SETTINGS = 24 + 31 * 16  # where the first section stands


@pytest.mark.parametrize(("place", "value", "error"), [
    (0, 1, "the magic TTOK"), (4, 2, "version 1"), (8, 3, "as many bytes"),
    (16, 3, "offset and size of each section"), (24, 1 << 20, "sections within the bytes"),
    (32, 4, "each setting once"), (SETTINGS, 9, "a known model"),
    (SETTINGS + 4, 1, "bytes and flags for each id"), (SETTINGS + 8, 1, "a symbol for each id"),
    (SETTINGS + 16, 1 << 20, "keys of at most"), (SETTINGS + 24, 1 << 20, "short chains"),
    (SETTINGS + 32, 9, "ids around a text"), (SETTINGS + 48, 1 << 20, "steps within"),
    (SETTINGS + 56, 99999, "an id for each key"), (SETTINGS + 60, 999, "classes of spaces"),
    (SETTINGS + 68, 999, "places of a row"),
])  # fmt: skip
def test_errors_say_what_is_wrong(tables, place, value, error):
    raw = bytearray(tables["spm"])
    raw[place : place + 4] = struct.pack("<I", value)
    with pytest.raises(ValueError, match=f"tokenizer tables: expected .*{error}"):
        NativeTokenizer(bytes(raw))
