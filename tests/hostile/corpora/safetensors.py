"""safetensors files, one fault each."""

import json
import random
import struct

from tallow.formats.safetensors import open_safetensors

from ._parts import u64

open_file = open_safetensors


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(raw) if length is None else length) + raw + data


def entry(dtype: object = "U8", shape: object = (1,), offsets: object = (0, 1), **more) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


U8_ENTRY = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

VALID = {
    "valid.safetensors": safetensors(
        {
            "__metadata__": {"format": "pt", "note": "ä\n"},
            "w": entry("F32", (2, 3), (0, 24)),
            "h": entry("BF16", (2,), (24, 28)),
            "empty": entry("I64", (0, 4), (28, 28)),
            "flag": entry("BOOL", (), (28, 29), further={"key": [1, 2.5, None]}),
        },
        bytes(range(29)),
    ),
    "stored.safetensors": safetensors(
        {
            "c": entry("C64", (1, 2), (0, 16)),
            "f": entry("F4", (2, 2), (16, 18)),
            "g": entry("F6_E3M2", (4,), (18, 21)),
            "s": entry("F8_E8M0", (1,), (21, 22)),
            "m": entry("F8_E4M3", (1,), (22, 23)),
        },
        bytes(range(23)),
    ),
}

FAULTS = {
    "empty-file": (b"", "file"),
    "header-length-cut-short": (bytes(7), "header length"),
    "header-length-0": (bytes(8), "header"),
    "header-length-beyond-file": (safetensors({}, length=3), "header length"),
    "header-length-beyond-100-mb": (safetensors({}, length=100_000_001), "header length"),
    "header-length-2-to-60": (safetensors({}, length=2**60), "header length"),
    "header-length-all-ones": (safetensors({}, length=2**64 - 1), "header length"),
    "header-not-json": (safetensors(b"not json"), "header"),
    "header-not-utf8": (safetensors(b'{"\xff":' + U8_ENTRY + b"}", b"a"), "header"),
    "header-with-byte-order-mark": (safetensors(b"\xef\xbb\xbf{}"), "header"),
    "header-a-list": (safetensors([]), "header"),
    "header-a-number": (safetensors(b"12345678"), "header"),
    "header-cut-short": (safetensors(b'{"a":' + U8_ENTRY, b"a"), "header"),
    "header-followed-by-nul": (safetensors(b"{}\0\0"), "header"),
    "header-followed-by-json": (safetensors(b"{}{}"), "header"),
    "header-comma-at-end": (safetensors(b'{"a":' + U8_ENTRY + b",}", b"a"), "header"),
    "header-2000-arrays-deep": (
        safetensors(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "tensor 'a'",
    ),
    "name-with-raw-newline": (safetensors(b'{"a\n":' + U8_ENTRY + b"}", b"a"), "header"),
    "name-a-lone-surrogate": (safetensors(b'{"\\ud800":' + U8_ENTRY + b"}", b"a"), "header"),
    "name-twice": (
        safetensors(b'{"a":' + U8_ENTRY + b',"a":' + U8_ENTRY + b"}", b"a"),
        "header",
    ),
    "name-twice-by-escape": (
        safetensors(b'{"a":' + U8_ENTRY + b',"\\u0061":' + U8_ENTRY + b"}", b"a"),
        "header",
    ),
    "metadata-of-numbers": (safetensors({"__metadata__": {"a": 1}}), "header __metadata__"),
    "metadata-a-list": (safetensors({"__metadata__": []}), "header __metadata__"),
    "metadata-key-twice": (
        safetensors(b'{"__metadata__":{"a":"1","a":"2"}}'),
        "header __metadata__",
    ),
    "metadata-twice": (safetensors(b'{"__metadata__":{},"__metadata__":{}}'), "header"),
    "entry-null": (safetensors({"a": None}), "tensor 'a'"),
    "entry-a-list": (safetensors({"a": ["U8", [1], [0, 1]]}, b"a"), "tensor 'a'"),
    "entry-without-offsets": (safetensors({"a": {"dtype": "U8", "shape": [1]}}), "tensor 'a'"),
    "entry-key-twice": (
        safetensors(b'{"a":{"dtype":"U8",' + U8_ENTRY[1:] + b"}", b"a"),
        "tensor 'a'",
    ),
    "dtype-unknown": (safetensors({"a": entry("F23")}, b"a"), "tensor 'a' dtype"),
    "dtype-lower-case": (safetensors({"a": entry("u8")}, b"a"), "tensor 'a'"),
    "dtype-f4-of-3-elements": (safetensors({"a": entry("F4", (3,))}, b"a"), "tensor 'a'"),
    "dtype-f4-of-too-many-elements": (
        safetensors({"a": entry("F4", (2**62, 2**2), (0, 2**63))}, b"a"),
        "tensor 'a' shape",
    ),
    "dtype-f6-of-3-elements": (
        safetensors({"a": entry("F6_E2M3", (3,), (0, 2))}, b"ab"),
        "tensor 'a'",
    ),
    "dtype-a-number": (safetensors({"a": entry(8)}, b"a"), "tensor 'a'"),
    "shape-negative": (safetensors({"a": entry(shape=(-1,))}, b"a"), "tensor 'a'"),
    "shape-of-floats": (safetensors({"a": entry(shape=(1.0,))}, b"a"), "tensor 'a'"),
    "shape-of-bools": (safetensors({"a": entry(shape=(True,))}, b"a"), "tensor 'a'"),
    "shape-of-5000-digits": (
        safetensors(b'{"a":' + U8_ENTRY.replace(b"[1]", b"[" + b"9" * 5000 + b"]") + b"}", b"a"),
        "tensor 'a'",
    ),
    "shape-leading-zero": (
        safetensors(b'{"a":' + U8_ENTRY.replace(b"[1]", b"[01]") + b"}", b"a"),
        "tensor 'a'",
    ),
    "shape-product-overflows": (
        safetensors({"a": entry(shape=(2**40, 2**40), offsets=(0, 0))}),
        "tensor 'a' shape",
    ),
    "shape-product-overflows-times-0": (
        safetensors({"a": entry(shape=(2**40, 2**40, 0), offsets=(0, 0))}),
        "tensor 'a' shape",
    ),
    "shape-product-wraps-to-1": (
        safetensors({"a": entry(shape=(2**64 - 1, 2**64 - 1))}, b"a"),
        "tensor 'a' shape",
    ),
    "shape-does-not-fit-offsets": (safetensors({"a": entry(shape=(2,))}, b"a"), "tensor 'a'"),
    "offsets-three": (safetensors({"a": entry(offsets=(0, 1, 1))}, b"a"), "tensor 'a'"),
    "offsets-backwards": (safetensors({"a": entry(offsets=(1, 0))}, b"a"), "tensor 'a'"),
    "offsets-beyond-file": (
        safetensors({"a": entry("F32", (2,), (0, 8))}, bytes(7)),
        "data",
    ),
    "offsets-2-to-63": (
        safetensors({"a": entry(offsets=(2**63, 2**63 + 1))}, b"a"),
        "tensor 'a' data_offsets",
    ),
    "offsets-all-ones": (
        safetensors({"a": entry(shape=(0,), offsets=(2**64 - 1, 2**64 - 1))}),
        "tensor 'a' data_offsets",
    ),
    "hole-at-the-start": (
        safetensors({"a": entry(offsets=(1, 2))}, b"ab"),
        "tensor 'a' data_offsets",
    ),
    "hole-between-tensors": (
        safetensors({"a": entry(), "b": entry(offsets=(2, 3))}, b"abc"),
        "tensor 'b' data_offsets",
    ),
    "bytes-after-the-last-tensor": (safetensors({"a": entry()}, b"ab"), "data"),
    "bytes-without-any-tensor": (safetensors({}, b"a"), "data"),
    "tensors-overlap": (
        safetensors(
            {"a": entry(shape=(2,), offsets=(0, 2)), "b": entry(shape=(2,), offsets=(1, 3))},
            b"abc",
        ),
        "tensor 'b' data_offsets",
    ),
    "tensors-share-their-bytes": (
        safetensors({"a": entry(), "b": entry()}, b"a"),
        "tensor 'b' data_offsets",
    ),
    "tensor-empty-inside-another": (
        safetensors(
            {"a": entry(shape=(2,), offsets=(0, 2)), "b": entry(shape=(0,), offsets=(1, 1))},
            b"ab",
        ),
        "tensor 'b' data_offsets",
    ),
}

CORPUS = {f"{name}.safetensors": case for name, case in FAULTS.items()}


def set_number(raw: bytearray, rng: random.Random) -> None:
    """Replace a decimal number of the header, keeping the header's stated length right."""
    digits = [at for at in range(8, len(raw)) if 48 <= raw[at] <= 57]
    if digits:
        at = rng.choice(digits)
        new = rng.choice(NUMBERS)
        raw[at : at + 1] = new
        length = struct.unpack_from("<Q", raw)[0] + len(new) - 1
        raw[:8] = struct.pack("<Q", length % 2**64)


NUMBERS = [b"0", b"-1", b"1", b"9" * 19, b"18446744073709551615", b"18446744073709551616", b"1e9"]
NUMBERS += [b"1.5", b"null", b"[]", b"{}", b'""', b"true", b"NaN", b"-0", b"00", b'"\\ud800"']
MUTATIONS = [set_number, set_number]
