"""The head of an `.npy` file: a Python literal, of which only the one form in use is understood.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from tallow import _native
from tallow.dtype import by_name
from tallow.errors import DTypeError, FormatError
from tallow.formats.mapping import MAX_INT64, element_count, shown

MAGIC: Final = b"\x93NUMPY"
FIRST: Final = 12  # bytes that tell how long the whole head is, in any version
MAX_HEADER: Final = 1 << 16  # bytes; numpy itself refuses more than 10,000

# What follows the byte order in numpy's own notation → the dtype here.
_DTYPES: Final = {
    "b1": "bool", "u1": "u8", "i1": "i8", "u2": "u16", "i2": "i16", "u4": "u32", "i4": "i32",
    "u8": "u64", "i8": "i64", "f2": "f16", "f4": "f32", "f8": "f64", "c8": "complex64",
    "f1": "f8e5m2",  # only ml_dtypes' float8_e5m2 comes out so; numpy itself cannot read it back
}  # fmt: skip
_NAMES: Final = {
    "bool": "b1", "?": "b1", "uint8": "u1", "int8": "i1", "uint16": "u2", "int16": "i2",
    "uint32": "u4", "int32": "i4", "uint64": "u8", "int64": "i8", "float16": "f2", "float32": "f4",
    "float64": "f8", "complex64": "c8",
}  # fmt: skip
_KINDS: Final = {
    "O": "Python objects, which are never loaded", "U": "text", "S": "bytes of text",
    "a": "bytes of text", "M": "dates", "m": "time spans", "c": "complex128", "f": "long floats",
}  # fmt: skip
_DESCR: Final = re.compile(r"([<>|=]?)([a-zA-Z]\d*)")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_TEXT: Final = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
_FLAG: Final = re.compile(r"True|False")
_SHAPE: Final = re.compile(r"\(([\d,L \t\r\n]*)\)")
_LENGTH: Final = re.compile(r"[ \t\r\n]*(\d{1,19})L?[ \t\r\n]*", re.ASCII)  # Python 2 wrote 3L
_KEYS: Final = ("descr", "fortran_order", "shape")


class NpyHeader(NamedTuple):
    """What the head says; the data begins `length` bytes after the start of the file.

    `swapped` tells that numbers have the other byte order, `fortran` that the first axis runs
    fastest.
    """

    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    swapped: bool
    length: int
    nbytes: int


def head_length(path: str, where: str, first: bytes) -> int:
    """The length of the whole head, from the first 12 bytes of a file (fewer, if it ends before).

    Raises:
        FormatError: no `.npy` file, one of another version, or a head of more than 64 KiB.
    """
    if first[:6] != MAGIC:
        raise FormatError(path, f"{where}magic", MAGIC, shown(first[:6]))
    if len(first) < 10:
        raise FormatError(path, f"{where}header", "10 bytes", f"{len(first)}")
    version = (first[6], first[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        got = f"{version[0]}.{version[1]}"
        raise FormatError(path, f"{where}version", "1.0, 2.0 or 3.0", got)
    size = 2 if version == (1, 0) else 4
    if len(first) < 8 + size:
        raise FormatError(path, f"{where}header length", f"{8 + size} bytes", len(first))
    length = int.from_bytes(first[8 : 8 + size], "little")
    if length > MAX_HEADER:
        raise FormatError(path, f"{where}header length", f"at most {MAX_HEADER}", length)
    return 8 + size + length


def parse_header(path: str, where: str, head: bytes, void: str | None) -> NpyHeader:
    """Understand a head; `void` is the dtype that `|V1` or `|V2` stand for, if the caller knows.

    Raises:
        FormatError: not a literal of the one usual form, or an array of objects, text, dates,
            structures or numbers that Tallow lacks.
    """
    start = 10 if head[6] == 1 else 12
    text = head[start:].decode("latin-1")
    values = _Literal(path, where, text).values()
    descr = values["descr"]
    swapped, dtype = _dtype(path, where, descr, void)
    shape = _shape(path, where, values["shape"])
    size = by_name(dtype).itemsize
    count = element_count(shape, MAX_INT64 // size)
    if count is None or max(shape, default=0) > MAX_INT64:
        raise FormatError(path, f"{where}header shape", "fewer than 2^63 bytes", shown(shape))
    fortran = values["fortran_order"] == "True"
    return NpyHeader(dtype, shape, fortran, swapped, len(head), count * size)


def _shape(path: str, where: str, text: str) -> tuple[int, ...]:
    """The lengths in a tuple's text: a comma behind each, but for the last of several."""
    field = f"{where}header shape"
    lengths = text.split(",")
    if not lengths[-1].strip():
        lengths.pop()
    elif len(lengths) == 1:
        raise FormatError(path, field, "a tuple, with a comma behind a single length", shown(text))
    if len(lengths) > _native.MAX_DIMS:
        raise FormatError(path, field, f"at most {_native.MAX_DIMS} axes", len(lengths))
    found = [_LENGTH.fullmatch(length) for length in lengths]
    if not all(found):
        raise FormatError(path, field, "lengths of at most 19 digits", shown(text))
    return tuple(int(match[1]) for match in found if match is not None)


def _dtype(path: str, where: str, descr: str, void: str | None) -> tuple[bool, str]:
    field = f"{where}header descr"

    def refuse(got: str) -> FormatError:
        return FormatError(path, field, "numbers of a dtype that Tallow has", got)

    if descr[:1] in ("[", "("):
        raise refuse("structures of several values")
    match = _DESCR.fullmatch("|" + _NAMES[descr] if descr in _NAMES else descr)
    if match is None:
        raise refuse(shown(descr))
    order, kind = match[1], match[2]
    if kind in ("V1", "V2"):
        if void is None:
            hint = "pass void='bf16', 'f8e4m3' or 'f8e5m2' if you know that it is one of these"
            raise refuse(f"{descr}, in which numpy keeps types of other packages; {hint}")
        if by_name(void).itemsize != int(kind[1]):
            raise refuse(f"{descr}, which is no {void}")
        return False, void  # numpy gives it the native order whatever the type
    if kind not in _DTYPES:
        raise refuse(f"{shown(descr)}, {_KINDS.get(kind[0], 'another kind')}")
    dtype = _DTYPES[kind]
    return order == ">" and by_name(dtype).itemsize > 1, dtype


class _Literal:
    """`{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` and nothing more general."""

    def __init__(self, path: str, where: str, text: str) -> None:
        self.path, self.where, self.text, self.at = path, where, text, 0

    def fail(self, expected: str) -> FormatError:
        got = shown(self.text[self.at : self.at + 20]) if self.at < len(self.text) else "the end"
        return FormatError(self.path, f"{self.where}header", f"{expected} at {self.at}", got)

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.fail(expected)
        self.at = found.end()
        self.space()
        return found

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def sign(self, sign: str) -> bool:
        """Step over `sign` if it stands here."""
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        self.space()
        return True

    def values(self) -> dict[str, Any]:
        self.space()
        if not self.sign("{"):
            raise self.fail("{")
        found: dict[str, str] = {}
        while not self.sign("}"):
            key = self.string("a key")
            if key in found or key not in _KEYS:
                wanted = f"each of {', '.join(_KEYS)} once"
                raise FormatError(self.path, f"{self.where}header", wanted, shown(key))
            if not self.sign(":"):
                raise self.fail(":")
            found[key] = self.value(key)
            if not self.sign(",") and not self.text.startswith("}", self.at):
                raise self.fail(", or }")
        if len(found) < len(_KEYS):
            missing = ", ".join(key for key in _KEYS if key not in found)
            raise FormatError(self.path, f"{self.where}header", f"the key {missing}", "none")
        if self.at < len(self.text):
            raise self.fail("nothing more")
        return found

    def string(self, expected: str) -> str:
        found = self.take(_TEXT, expected)
        return found[1] if found[1] is not None else found[2]

    def value(self, key: str) -> str:
        if key == "fortran_order":
            return self.take(_FLAG, "True or False")[0]
        if key == "shape":
            return self.take(_SHAPE, "a tuple of lengths")[1]
        if self.text[self.at : self.at + 1] in ("[", "("):
            raise FormatError(
                self.path,
                f"{self.where}header descr",
                "numbers of a dtype that Tallow has",
                "structures of several values",
            )
        return self.string("the name of a dtype")


_BACK: Final = {
    "bool": "|b1", "u8": "|u1", "i8": "|i1", "u16": "<u2", "i16": "<i2", "u32": "<u4",
    "i32": "<i4", "u64": "<u8", "i64": "<i8", "f16": "<f2", "f32": "<f4", "f64": "<f8",
    "complex64": "<c8",
}  # fmt: skip
VOIDS: Final = {"bf16": "<V2", "f8e4m3": "<V1", "f8e5m2": "<V1"}


def encode_header(where: str, dtype: str, shape: tuple[int, ...], *, void: bool) -> bytes:
    """The head as numpy writes it, padded to a multiple of 64 bytes.

    Raises:
        DTypeError: a dtype that `.npy` lacks; bf16 and f8 only when not `void`.
    """
    descr = _BACK.get(dtype) or (VOIDS.get(dtype) if void else None)
    if descr is None:
        wanted = f"one of {' '.join(_BACK)}"
        hint = ""
        if dtype in VOIDS:
            hint = (
                f"; void=True writes its bytes as {VOIDS[dtype]}, to be viewed as the dtype again"
            )
        raise DTypeError(f"{where}: expected {wanted}, got {dtype}{hint}")
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    # numpy leaves room for the length of the first axis to grow to 21 digits.
    text += " " * (21 - len(repr(shape[0])) if shape else 0)
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return MAGIC + b"\1\0" + len(text).to_bytes(2, "little") + text.encode()
