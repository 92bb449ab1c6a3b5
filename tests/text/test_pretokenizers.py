"""Each pre-tokenizer row: Python's `re` cuts as Hugging Face's engine does, and loses nothing."""

import re

import pytest

from odd_texts import odd_texts
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


@pytest.mark.parametrize("name", pretokenizers.names())
def test_python_cuts_odd_texts_as_hugging_face(name):
    import tokenizers as hf

    patterns = pretokenizers.by_name(name).patterns
    oracle = hf.pre_tokenizers.Sequence(
        [hf.pre_tokenizers.Split(hf.Regex(pattern), "isolated") for pattern in patterns]
    )
    compiled = [compile_pattern(pattern) for pattern in patterns]
    for text in odd_texts(150):
        expected = [piece for piece, _ in oracle.pre_tokenize_str(text) if piece]
        assert split(text, compiled) == expected, ascii(text)


@pytest.mark.parametrize("pattern", [r"\w", r"\W", r"[\w]+", r"[^\w]+", r"x\b"])
def test_words_are_those_of_oniguruma(pattern):
    """Other numbers are no words there, letters in circles are; Python has it the other way."""
    import tokenizers as hf

    oracle = hf.pre_tokenizers.Split(hf.Regex(pattern), "isolated")
    for char in "a_é\u0301\u24b6\u2460½²Ⅷ٣\u203f\U0001f130\U00016e86 -":
        text = f"x{char}x"
        pieces = [piece for piece, _ in oracle.pre_tokenize_str(text)]
        assert split(text, [compile_pattern(pattern)]) == pieces, ascii(char)


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
