"""Which languages characters suffice for, and what is refused."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow.documents.ocr import languages
from tallow.errors import ArgumentError


def test_languages_of_characters():
    assert "de" in languages.readable("abcdefghijklmnopqrstuvwxyzäöüß")
    assert "pl" not in languages.readable("abcdefghijklmnopqrstuvwxyzäöüß")
    assert languages.readable("") == []


@pytest.mark.parametrize(
    ("code", "known"), [("de-AT", "de"), ("zh_TW", "zh-hant"), ("ZH-CN", "zh"), ("nb", "no")]
)
def test_codes(code, known):
    assert languages.known_language(code) == known


def test_an_unknown_code_lists_the_known_ones():
    with pytest.raises(ArgumentError, match=r"expected a language of af, .*zh-hant, got 'xx'"):
        tl.OCR(language="xx")


@pytest.mark.needs_network
def test_what_the_packaged_models_read():
    small, tiny = tl.OCR().languages, tl.OCR("tiny").languages
    assert {"en", "de", "fr", "es", "pl", "tr", "zh", "zh-hant", "ja"} <= {*small}
    assert {"ko", "ru", "ar", "th", "el"}.isdisjoint(small)
    assert "ja" not in tiny
    assert tl.OCR(language="de-CH").language == "de"
    with pytest.raises(ArgumentError, match="got 'ko': they have no 가 .* of Korean; name other"):
        tl.OCR(language="ko")
