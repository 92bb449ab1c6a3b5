"""Importing `tallow.text` loads nothing heavy; a short prompt does not load `tokenizers` either."""

import subprocess
import sys

import pytest

from tallow import text

RUN = """
import sys
import tallow.text
from tallow.text import Tokenizer, StreamDecoder, StopStrings, ChatTemplate
assert not {"tokenizers", "jinja2", "numpy", "regex"} & sys.modules.keys()
"""


def test_import_is_light():
    subprocess.run([sys.executable, "-c", RUN], check=True)


def test_short_ascii_needs_no_tokenizers(bpe_metadata, monkeypatch):
    monkeypatch.setattr("tallow.text.hf.build", None)
    tokenizer = text.Tokenizer.from_gguf(bpe_metadata)
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"
    with pytest.raises(TypeError):
        tokenizer.encode("größer")


def test_names():
    assert set(text.__all__) <= set(dir(text))
    with pytest.raises(AttributeError, match="nothing"):
        _ = text.nothing
