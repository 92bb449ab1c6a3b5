"""What is refused, exactly where the official package refuses: cases, corpus and mutants."""

import json
import random
import re
import struct
from pathlib import Path

import pytest
import safetensors
import safetensors.numpy

from formats.safetensors_bytes import (
    build,
    entry,
    official_accepts,
    ours_accepts,
    theirs,
)
from tallow.errors import FormatError
from tallow.formats.safetensors import (
    DTYPES,
    open_safetensors,
)

A = entry("U8", [1], 0, 1)
# What both accept or both refuse; the official package is asked in the test.
CASES = {
    "no tensors": build({}),
    "no tensors, data": build({}, b"a"),
    "hole between": build({"a": A, "b": entry("U8", [1], 2, 3)}, b"abc"),
    "hole at start": build({"a": entry("U8", [1], 1, 2)}, b"ab"),
    "overlap": build({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"abc"),
    "shared": build({"a": A, "b": A}, b"a"),
    "rest": build({"a": A}, b"ab"),
    "short": build({"a": entry("U8", [2], 0, 2)}, b"a"),
    "any order": build({"b": entry("U8", [1], 1, 2), "a": A}, b"ab"),
    "empty tensors": build({"a": entry("U8", [0], 0, 0), "b": entry("F32", [0, 3], 0, 0)}),
    "empty before": build({"a": A, "b": entry("U8", [0], 0, 0)}, b"a"),
    "empty after": build({"a": A, "c": entry("U8", [0], 1, 1)}, b"a"),
    "empty inside": build({"a": entry("U8", [2], 0, 2), "b": entry("U8", [0], 1, 1)}, b"ab"),
    "scalar": build({"a": entry("U8", [], 0, 1)}, b"a"),
    "no name": build({"": A}, b"a"),
    "further key": build({"a": {**A, "more": {"x": [1, -2.5, None]}}}, b"a"),
    "other order": build(b'{"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}', b"a"),
    "space": build(
        b'\n{ "a"\t:\r{ "dtype" : "U8" , "shape" : [ 1 ] ,"data_offsets":[ 0 , 1 ] } } ', b"a"
    ),
    "escapes": build(
        b'{"\\u0061\\n\\ud83c\\udf0d":{"dtype":"\\u00558","shape":[1],"data_offsets":[0,1]}}', b"a"
    ),
    "metadata null": build({"__metadata__": None}),
    "metadata empty": build({"__metadata__": {}, "a": A}, b"a"),
    "metadata of numbers": build({"__metadata__": {"a": 1}}),
    "metadata a list": build({"__metadata__": []}),
    "metadata twice": build(b'{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"}}'),
    "key of entry twice": build(
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"
    ),
    "missing key": build({"a": {"dtype": "U8", "shape": [1]}}, b"a"),
    "float in shape": build({"a": entry("U8", [1.0], 0, 1)}, b"a"),
    "exponent in shape": build(b'{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}', b"a"),
    "minus zero": build(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
    "leading zero": build(b'{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', b"a"),
    "space in number": build(b'{"a":{"dtype":"U8","shape":[1 1],"data_offsets":[0,1]}}', b"a"),
    "comma at end": build(b'{"a":{"dtype":"U8","shape":[1,],"data_offsets":[0,1]}}', b"a"),
    "negative": build({"a": entry("U8", [-1], 0, 1)}, b"a"),
    "bool": build({"a": entry("U8", [True], 0, 1)}, b"a"),
    "2^64": build({"a": entry("U8", [2**64], 0, 0)}),
    "overflow": build({"a": entry("U8", [2**40, 2**40], 0, 0)}),
    "overflow, then 0": build({"a": entry("U8", [2**40, 2**40, 0], 0, 0)}),
    "0, then large": build({"a": entry("U8", [0, 2**40, 2**40], 0, 0)}),
    "backwards": build({"a": entry("U8", [1], 1, 0)}, b"a"),
    "three offsets": build(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', b"a"),
    "unaligned": build({"a": A, "b": entry("F32", [1], 1, 5)}, b"abcde"),
    "1000 axes": build({"a": entry("U8", [1] * 1000, 0, 1)}, b"a"),
    "NUL after": build(b"{}\0\0"),
    "newlines after": build(b"{}\n\n"),
    "byte order mark": build(b"\xef\xbb\xbf{}"),
    "list": build([]),
    "not UTF-8": build(b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "lone surrogate": build(b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "control character": build(b'{"a\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "NaN": build(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}', b"a"),
    "very deep": build(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "empty file": b"",
    "7 bytes": bytes(7),
    "header of 0 bytes": bytes(8),
    "header beyond the file": struct.pack("<Q", 3) + b"{}",
    "header too large": struct.pack("<Q", 100_000_001) + b"{}",
    "header of 2^64 - 1": struct.pack("<Q", 2**64 - 1) + b"{}",
}


@pytest.mark.parametrize("case", CASES)
def test_accepts_and_refuses_as_the_official_package(tmp_path, case):
    path = tmp_path / "m.safetensors"
    path.write_bytes(CASES[case])
    assert ours_accepts(path) == official_accepts(CASES[case])


STRICTER = {
    "tensor twice": build(b'{"a":%b,"a":%b}' % ((json.dumps(A).encode(),) * 2), b"a"),
    "metadata key twice": build(b'{"__metadata__":{"a":"1","a":"2"}}'),
    "list as entry": build({"a": ["U8", [1], [0, 1]]}, b"a"),
    "2^63 elements along an axis": build({"a": entry("U8", [0, 2**63], 0, 0)}),
    "entry of 70000 characters": build({"a": {**A, "filler": "x" * 70_000}}, b"a"),
}


@pytest.mark.parametrize("case", STRICTER)
def test_where_the_official_package_is_laxer(case):
    assert official_accepts(STRICTER[case])
    with pytest.raises(FormatError) as caught:
        open_safetensors(STRICTER[case])
    assert deliberate(caught.value)


def deliberate(error):
    """Whether ours is one of the documented refusals that the official package does not share."""
    text = f"{error.expected}|{error.got}"
    reasons = ("not used before", "stands twice", "2^63 along", "an object|[", "at most 65536")
    return any(reason in text for reason in reasons)


HOSTILE = sorted((Path(__file__).parent.parent / "hostile" / "safetensors").glob("*.safetensors"))


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_the_hostile_corpus_against_the_official_package(path):
    agree_on(path.read_bytes())


def agree_on(raw):
    """Ours accepts nothing that the official package refuses, and reads what both accept alike."""
    try:
        official = dict(safetensors.deserialize(raw))
    except safetensors.SafetensorError:
        official = None
    file, error = None, None
    try:
        file = open_safetensors(raw)
    except FormatError as caught:
        error = caught
    if file is None:
        assert official is None or deliberate(error), f"{error}: {raw!r}"
        return False
    with file:
        assert official is not None, raw
        assert official.keys() == file.tensors.keys()
        for name, info in file.tensors.items():
            dtype, shape = info.stored or (theirs(info), info.shape)
            assert official[name]["dtype"] == dtype
            assert official[name]["shape"] == list(shape)
            assert official[name]["data"] == bytes(file.data(name))
    return True


WORDS = [f'"{name}"'.encode() for name in DTYPES]
WORDS += b'0 1 2 3 4 7 8 16 -1 -0 1.0 1e0 null true [] {} "" 18446744073709551615'.split()
WORDS += b'18446744073709551616 9223372036854775808 "a" "b" "\\u0061" "__metadata__"'.split()
TOKEN = re.compile(rb'"[^"]*"|[0-9]+|[][{},:]')


def mutate(raw, rng):
    """One change to the header's tokens or to the bytes; its stated length is mostly kept true."""
    (length,) = struct.unpack_from("<Q", raw)
    header, data = raw[8 : 8 + length], raw[8 + length :]
    tokens = list(TOKEN.finditer(header))
    kind = rng.randrange(8)
    if kind <= 3 and tokens:
        token, other = rng.choice(tokens), rng.choice(tokens)
        word = rng.choice([rng.choice(WORDS), other[0], b"", token[0] + b"," + other[0]])
        header = header[: token.start()] + word + header[token.end() :]
    elif kind == 4:
        at = rng.randrange(len(header) + 1)
        header = header[:at] + bytes([rng.randrange(256)]) + header[at + rng.randrange(2) :]
    elif kind == 5:
        at = rng.choice(tokens).start() if tokens else 0
        header = header[:at] + rng.choice((b" ", b"\n\t", b"\r", b"\f")) + header[at:]
    elif kind == 6:
        data = data[: rng.randrange(len(data) + 1)] + bytes(rng.randrange(3))
    else:
        length += rng.choice((-1, 1, 8))
        return struct.pack("<Q", max(length, 0)) + header + data
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.slow
def test_mutants_against_the_official_package():
    rng = random.Random(31)
    base = {
        "__metadata__": {"format": "pt"},
        "a": entry("F4", [2, 4], 0, 4),
        "b": entry("F32", [1, 2], 4, 12),
        "c": entry("I64", [0, 3], 12, 12),
        "d": entry("BOOL", [], 12, 13),
    }
    valid = build(json.dumps(base, separators=(",", ":")).encode(), bytes(range(13)))
    accepted = 0
    for _ in range(20_000):
        raw = valid
        for _ in range(rng.choice((1, 1, 2, 3))):
            raw = mutate(raw, rng)
        accepted += agree_on(raw)
    assert 1000 < accepted < 19_000, "the mutants reach both outcomes"


def test_hostile_header_takes_a_small_multiple_of_its_size(tmp_path):
    """A whole parse of this header of 6 MB would build 2 million lists: 24 times its size."""
    import tracemalloc

    path = tmp_path / "m.safetensors"
    filler = b"[]," * 2_000_000
    path.write_bytes(build(b'{"a":{"dtype":"U8","x":[' + filler + b"[]]}}"))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="tensor 'a': expected a JSON value of at most 65536"):
            open_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 3.5 * len(filler)
    finally:
        tracemalloc.stop()
