"""The header of a safetensors file: JSON, read entry by entry and checked against the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from tallow.errors import FormatError
from tallow.formats.mapping import MAX_INT64, Stored, TensorInfo, shown
from tallow.formats.safetensors.types import DTYPES, byte_shape, stored_bytes

MAX_HEADER: Final = 100_000_000  # bytes, as in the official package
_MAX_ENTRY: Final = 65_536  # characters in an entry that is not written in the usual way

_SPACES = (" ", "\t", "\n", "\r")
_S = r"[ \t\n\r]*"
_SPACE = re.compile(_S)
_STRING = re.compile(rf'{_S}"([^"\\\x00-\x1f]*)"')  # without escapes
_NUMBER = "(?:0|[1-9][0-9]{0,19})"
# The value of one tensor as every writer writes it; anything else takes the slower way.
_ENTRY = re.compile(
    rf'\{{{_S}"dtype"{_S}:{_S}"([A-Z0-9_]+)"{_S},{_S}"shape"{_S}:{_S}\[([0-9, \t\n\r]{{0,4096}})\]'
    rf'{_S},{_S}"data_offsets"{_S}:{_S}\[{_S}({_NUMBER}){_S},{_S}({_NUMBER}){_S}\]{_S}\}}'
)
_SHAPE = re.compile(rf"{_S}(?:{_NUMBER}{_S}(?:,{_S}{_NUMBER}{_S})*)?")


def read_header(path: str, raw: bytes, size: int) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The tensors and the metadata that a header tells of.

    `raw` is the header without the 8 bytes of its length, `size` the length of the whole file.
    Nothing but these two is needed, so that the header of a file elsewhere can be read as well.

    Raises:
        FormatError: the header is damaged, or does not describe a file of this size.
    """
    base = 8 + len(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        got = f"{error.reason} at byte {error.start}"
        raise FormatError(path, "header", "UTF-8", got) from error
    header = JsonReader(path, "header", text)
    metadata: dict[str, str] = {}
    tensors: dict[str, TensorInfo] = {}
    for key in header.entries():
        if key == "__metadata__":
            metadata = _read_metadata(header)
        else:
            tensors[key] = _read_entry(header, key, base)
    header.end()
    _check_layout(path, tensors, base, size)
    return tensors, metadata


def check_length(path: str, length: int, size: int) -> int:
    """`length` as the first 8 bytes state it, if a file of `size` bytes can have such a header."""
    if length > min(MAX_HEADER, size - 8):
        most = f"at most {MAX_HEADER} and the {size - 8} bytes that follow"
        raise FormatError(path, "header length", most, length)
    return length


def _read_metadata(header: JsonReader) -> dict[str, str]:
    if header.peek() == "n" and header.value() is None:
        return {}
    header.field = "header __metadata__"
    metadata = {key: header.string() for key in header.entries()}
    header.field = "header"
    return metadata


def _read_entry(header: JsonReader, name: str, base: int) -> TensorInfo:
    usual = _ENTRY.match(header.text, header.at)
    lengths: list[int]
    if usual and _SHAPE.fullmatch(usual[2]):
        header.at = usual.end()
        dtype, begin, end = usual[1], int(usual[3]), int(usual[4])
        lengths = [int(length) for length in usual[2].split(",")] if usual[2].strip() else []
    else:
        dtype, lengths, begin, end = _read_unusual_entry(header, name)

    def fail(field: str, expected: object, got: object) -> NoReturn:
        raise FormatError(header.path, f"tensor {shown(name)} {field}", expected, got)

    if dtype not in DTYPES:
        fail("dtype", f"one of {' '.join(DTYPES)}", shown(dtype))
    shape = tuple(lengths)
    size = stored_bytes(dtype, shape)
    if size is None or max(shape, default=0) > MAX_INT64:
        fail("shape", "whole bytes, fewer than 2^64 elements, 2^63 along an axis", shown(shape))
    if end - begin != size:
        got = f"{end - begin} ({begin} to {end})"
        fail("data_offsets", f"{size} bytes for {dtype} of shape {shown(shape)}", got)
    ours = DTYPES[dtype].ours
    if ours is not None:
        return TensorInfo(name, ours, shape, base + begin, size)
    as_bytes, stored = byte_shape(dtype, shape), Stored(dtype, shape)
    return TensorInfo(name, "u8", as_bytes, base + begin, size, stored)


def _read_unusual_entry(header: JsonReader, name: str) -> tuple[str, list[int], int, int]:
    """An entry with its keys in another order, with further keys, or a wrong one."""
    header.field = f"tensor {shown(name)}"
    entry = header.value()
    if not isinstance(entry, dict):
        header.fail("an object", shown(entry))
    for key in ("dtype", "shape", "data_offsets"):
        if key not in entry:
            header.fail(f"the key {key}", shown(list(entry)))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        header.fail("a name as dtype", shown(dtype))
    for key, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < 2**64 for number in numbers
        ):
            header.fail(f"a list of counts as {key}", shown(numbers))
    if len(offsets) != 2:
        header.fail("two data_offsets", shown(offsets))
    header.field = "header"
    return dtype, shape, offsets[0], offsets[1]


def _check_layout(path: str, tensors: dict[str, TensorInfo], base: int, size: int) -> None:
    """The tensors must follow each other with neither holes nor overlaps, up to the last byte."""
    end = base
    for info in sorted(tensors.values(), key=lambda info: (info.offset, info.nbytes)):
        if info.offset != end:
            field = f"tensor {shown(info.name)} data_offsets"
            raise FormatError(path, field, f"a begin at {end - base}", info.offset - base)
        end += info.nbytes
    if end != size:
        raise FormatError(path, "data", f"{end - base} bytes, as the header says", size - base)


class JsonReader:
    """Reads a JSON object entry by entry: `json.loads` of a hostile one takes 25 times its size."""

    def __init__(self, path: str, field: str, text: str) -> None:
        self.path, self.field, self.text, self.at = path, field, text, 0

    def fail(self, expected: str, got: object) -> NoReturn:
        """Refuse the file, blaming what is being read."""
        raise FormatError(self.path, self.field, expected, got)

    def peek(self) -> str:
        """Step over white space and return the next character, "" at the end."""
        character = self.text[self.at : self.at + 1]
        if character in _SPACES:
            match = _SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            character = self.text[self.at : self.at + 1]
        return character

    def token(self, wanted: str) -> str:
        """Step over one of the characters `wanted` and return it."""
        found = self.peek()
        if not found or found not in wanted:
            names = " or ".join(map(repr, wanted))
            self.fail(f"{names} at character {self.at}", shown(found) if found else "the end")
        self.at += 1
        return found

    def string(self) -> str:
        """Read a string."""
        plain = _STRING.match(self.text, self.at)
        if plain:
            self.at = plain.end()
            return plain[1]
        if self.peek() != '"':
            self.fail(f"a string at character {self.at}", shown(self.text[self.at : self.at + 20]))
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
            value.encode()
        except UnicodeEncodeError:
            self.fail("text without lone surrogates", shown(value))
        except ValueError as error:
            self.fail("valid JSON", error)
        return str(value)

    def value(self) -> Any:
        """Parse any value of at most 64 Ki characters, trying short pieces first."""
        self.peek()
        size, reason = 512, ""
        while size <= _MAX_ENTRY:
            piece = self.text[self.at : self.at + size]
            try:
                value, end = _DECODER.raw_decode(piece)
            except (ValueError, RecursionError) as error:
                reason = str(error)
            else:
                if end < size or piece[-1] in ']}"':  # not a number cut in two
                    self.at += end
                    return value
            size *= 8
        return self.fail(f"a JSON value of at most {_MAX_ENTRY} characters", reason)

    def entries(self) -> Iterator[str]:
        """Each key of the object that begins here; the caller reads the value before the next."""
        self.token("{")
        seen: set[str] = set()
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            key = self.string()
            if key in seen:
                self.fail("a key that was not used before", f"{shown(key)} twice")
            seen.add(key)
            self.token(":")
            self.peek()
            yield key
            if self.token(",}") == "}":
                return

    def end(self) -> None:
        """Refuse what follows the object."""
        if self.peek():
            self.fail("nothing after the object", shown(self.text[self.at : self.at + 20]))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _integer(digits: str) -> int:
    # The limit of int() on long digits is a setting of the process; -0 is no count either.
    return -1 if digits[0] == "-" or len(digits) > 20 else int(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_constant)
