"""Each pre-tokenizer row: Python's `re` cuts as Hugging Face's engine does, and loses nothing."""

import re

import pytest

from tallow.errors import ModelError
from tallow.text import pretokenizers
from tallow.text.unicode_regex import compile_pattern, split, translate


@pytest.mark.parametrize("name", pretokenizers.names())
def test_python_cuts_as_hugging_face(name, texts):
    import tokenizers as hf

    row = pretokenizers.by_name(name)
    oracle = hf.pre_tokenizers.Sequence(
        [hf.pre_tokenizers.Split(hf.Regex(pattern), "isolated") for pattern in row.patterns]
    )
    patterns = [compile_pattern(pattern) for pattern in row.patterns]
    ascii_patterns = [compile_pattern(pattern, ascii_only=True) for pattern in row.patterns]
    for text in texts:
        pieces = split(text, patterns)
        assert "".join(pieces) == text
        assert pieces == [piece for piece, _ in oracle.pre_tokenize_str(text) if piece], text
        if text.isascii():
            assert split(text, ascii_patterns) == pieces


def test_unknown_name_lists_the_known():
    with pytest.raises(ModelError, match="unknown pre-tokenizer 'x'; known: a.x-4.0, .* youtu"):
        pretokenizers.by_name("x")
    assert pretokenizers.by_name("") is pretokenizers.by_name("default")


def test_classes_are_those_of_unicode():
    letters = re.compile(f"{translate(chr(92) + 'p{L}')}+")
    assert letters.fullmatch("aéя漢ªʰ𐍈")
    assert not letters.search("1_ ²\u0301😀")
    assert not re.search(translate(r"\s"), "\x1c\x1f\u200b")
    assert re.fullmatch(translate(r"[^\s\p{N}]+"), "a-漢")


@pytest.mark.parametrize("pattern", [r"\p{Nonsense}", "[a[b]]", "(", r"[\p{Zz}]"])
def test_patterns_that_python_lacks_give_a_clear_error(pattern):
    with pytest.raises(ModelError, match="tokenizer pattern: "):
        compile_pattern(pattern)
