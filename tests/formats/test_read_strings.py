"""Strings of a GGUF array, read natively: their texts, and None for any that lies outside."""

import struct

import pytest

from tallow import _native

TEXTS = ["", "a", "é漢😀", "x" * 1000, "\0", "\udcff\udc80b"]
RAW = b"".join(
    struct.pack("<Q", len(raw)) + raw
    for raw in (text.encode("utf-8", "surrogateescape") for text in TEXTS)
)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_texts(kind):
    assert _native.read_strings(kind(RAW), 0, len(TEXTS)) == tuple(TEXTS)
    assert _native.read_strings(kind(b"??" + RAW), 2, 2) == ("", "a")
    assert _native.read_strings(kind(RAW), len(RAW), 0) == ()


@pytest.mark.parametrize(
    ("at", "count"),
    [(0, 7), (1, 1), (-1, 1), (len(RAW), 1), (len(RAW) + 1, 0), (0, 2**62), (0, -1), (2**62, 1)],
)
def test_what_lies_outside(at, count):
    assert _native.read_strings(RAW, at, count) is None


def test_what_is_no_buffer():
    with pytest.raises(TypeError):
        _native.read_strings("text", 0, 1)
