"""The metadata of GGUF files: a cursor that trusts no length, and values decoded when asked for.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tallow import _native
from tallow.formats.cursor import Cursor
from tallow.formats.gguf_types import (
    ARRAY,
    BOOL,
    KINDS,
    MAX_NAME,
    MAX_NESTING,
    SCALARS,
    STRING,
    STRUCTS,
    Typed,
)
from tallow.formats.mapping import FileMap, shown


class GGUFCursor(Cursor):
    """A position in a GGUF file, with the steps that take its names and typed values."""

    __slots__ = ()

    def name(self, field: str) -> str:
        """Read a key or the name of a tensor."""
        length = self.u64(f"{field} length")
        if length > MAX_NAME:
            raise self.fail(f"{field} length", f"at most {MAX_NAME} bytes", length)
        return self.text(length, field)

    def skip(self, kind: int) -> None:
        """Step over a value of type `kind`, checking every length in it."""
        if kind == ARRAY:
            self.skip_array(1)
        elif kind == STRING:
            self.take(self.u64("string length"), "string")
        elif kind in STRUCTS:
            self.take(STRUCTS[kind].size, "value")
        else:
            raise self.fail("value type", "0 to 12", kind)

    def array(self, depth: int) -> tuple[int, int]:
        """Read the head of an array: the type of its elements and how many bytes permit them."""
        kind, count = self.u32("array type"), self.u64("array length")
        smallest = {STRING: 8, ARRAY: 12}.get(kind) or (kind in STRUCTS and STRUCTS[kind].size)
        if not smallest:
            raise self.fail("array type", "0 to 12", kind)
        if kind == ARRAY and depth >= MAX_NESTING:
            raise self.fail("array", f"at most {MAX_NESTING} arrays in each other", "more")
        self.need(count * smallest, f"array of {count}")
        return kind, count

    def skip_array(self, depth: int) -> None:
        """Step over an array, checking every length in it."""
        kind, count = self.array(depth)
        if kind == STRING:
            self.skip_strings(count)
        elif kind == ARRAY:
            for _ in range(count):
                self.skip_array(depth + 1)
        else:
            self.at += count * STRUCTS[kind].size

    def skip_strings(self, count: int) -> None:
        """Step over `count` strings."""
        at = _native.skip_strings(self.buffer, self.at, count)
        if at < 0:
            self.more()
            raise self.fail(f"array of {count} strings", "strings within the file", "one beyond it")
        self.at = at

    def value(self, kind: int) -> Any:
        """Read a value of type `kind`; bytes that are not UTF-8 become surrogates."""
        if kind == ARRAY:
            return self.values(1)
        if kind == STRING:
            start = self.take(self.u64("string length"), "string")
            return bytes(self.buffer[start : self.at]).decode("utf-8", "surrogateescape")
        if kind not in STRUCTS:
            raise self.fail("value type", "0 to 12", kind)
        start = self.take(STRUCTS[kind].size, "value")
        if kind == BOOL:
            self.check_bools(start)
        return STRUCTS[kind].unpack_from(self.buffer, start)[0]

    def values(self, depth: int) -> tuple[Any, ...]:
        """Read an array."""
        kind, count = self.array(depth)
        if kind == STRING:
            return self.strings(count)
        if kind == ARRAY:
            return tuple([self.values(depth + 1) for _ in range(count)])
        start = self.take(count * STRUCTS[kind].size, "array")
        if kind == BOOL:
            self.check_bools(start)
        return struct.unpack_from(f"<{count}{SCALARS[kind]}", self.buffer, start)

    def strings(self, count: int) -> tuple[str, ...]:
        """Read `count` strings."""
        start = self.at
        self.skip_strings(count)
        texts = _native.read_strings(self.buffer, start, count)
        assert texts is not None  # all of them were stepped over
        return texts

    def typed_array(self, depth: int) -> Typed:
        """Read an array with the type of what is in it."""
        start = self.at
        kind, count = self.array(depth)
        if kind != ARRAY:
            self.at = start
            return Typed(f"arr[{KINDS[kind]}]", self.values(depth))
        inner = [self.typed_array(depth + 1) for _ in range(count)]
        kinds = {item.kind for item in inner}
        if len(kinds) == 1:
            return Typed(f"arr[{kinds.pop()}]", tuple([item.value for item in inner]))
        return Typed("arr[arr]", tuple(inner))

    def check_bools(self, start: int) -> None:
        """Refuse bytes from `start` on that are neither 0 nor 1."""
        odd = bytes(self.buffer[start : self.at]).translate(None, b"\0\1")
        if odd:
            raise self.fail("bool", "0 or 1", odd[0])


class ValueOffset(NamedTuple):
    """Where a value that has been checked begins, and its type."""

    kind: int
    at: int


class Metadata(Mapping[str, Any]):
    """The metadata of a GGUF file by key; strings and arrays are decoded when first asked for.

    Numbers are `int` or `float`, flags `bool`, strings `str`, arrays `tuple` (also nested). Strings
    that are not UTF-8 (some vocabularies cut characters in two) keep their bytes as surrogates:
    `text.encode("utf-8", "surrogateescape")` gives them back. Decoding costs about 0.3 µs and
    60 bytes of memory a string, up to 36 bytes a number.

    Raises:
        ArgumentError: on access to a string or array that is not decoded yet, after closing.
        FormatError: a bool of an array is neither 0 nor 1, or the file was changed after opening.
    """

    __slots__ = ("_file", "_places", "_prepared", "_values")

    def __init__(
        self, file: FileMap, values: dict[str, Any], places: dict[str, ValueOffset]
    ) -> None:
        self._file, self._values, self._places = file, values, places
        self._prepared: dict[str, _native.Texts] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            self._values[key] = self._cursor(key).value(self._places[key].kind)
        return self._values[key]

    def prepare(self, *keys: str) -> None:
        """Begin with what `texts` gives for these keys, in the background."""
        for key in keys:
            if key in self._places and (found := self.texts(key)) is not None:
                self._prepared[key] = found

    def texts(self, key: str) -> _native.Texts | None:
        """An array of strings with an index from each to its first place; None for other values.

        It decodes a string when that is asked for, and stays when the file is closed.

        Raises:
            ArgumentError: of an array, after closing.
            KeyError: no such key.
        """
        if self._places[key].kind != ARRAY:
            return None
        if key in self._prepared:
            return self._prepared.pop(key)
        cursor = self._cursor(key)
        kind, count = cursor.array(1)
        if kind != STRING:
            return None
        try:
            return _native.Texts(cursor.buffer, cursor.at, count)
        except ValueError:  # written to since it was opened
            wanted = "strings within the file"
            raise cursor.fail(f"array of {count} strings", wanted, "one beyond it") from None

    def kind(self, key: str) -> str:
        """The GGUF type of a value: `u32`, `str`, `arr[str]`, …; see `Typed` for the names.

        Raises:
            ArgumentError: of an array, after closing.
            KeyError: no such key.
        """
        kind = self._places[key].kind
        if kind != ARRAY:
            return KINDS[kind]
        cursor = self._cursor(key)
        item = KINDS[cursor.array(1)[0]]
        return f"arr[{item}]" if item != "arr" else self.typed(key).kind

    def typed(self, key: str) -> Typed:
        """A value with its GGUF type, as `save_gguf` takes it to write it again unchanged."""
        kind = self._places[key].kind
        return self._cursor(key).typed_array(1) if kind == ARRAY else Typed(KINDS[kind], self[key])

    def typed_items(self) -> dict[str, Typed]:
        """All keys with their types, in order: metadata to be changed and then saved."""
        return {key: self.typed(key) for key in self}

    def _cursor(self, key: str) -> GGUFCursor:
        return GGUFCursor(self._file, self._places[key].at, f"metadata {shown(key)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __repr__(self) -> str:
        return f"Metadata({len(self)} keys)"
