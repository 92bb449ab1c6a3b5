"""A position in a file that is walked through from front to back, trusting none of its lengths."""

from __future__ import annotations

import struct
from typing import Final

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, MoreNeededError, shown

_U16: Final = struct.Struct("<H").unpack_from
_U32: Final = struct.Struct("<I").unpack_from
_I32: Final = struct.Struct("<i").unpack_from
_U64: Final = struct.Struct("<Q").unpack_from


class Cursor:
    """A position in the file; every step is checked against the bytes that are left.

    `where` says what is being read and stands before the field in every error. Numbers are
    little-endian. Every method raises `FormatError` when the file ends too early.
    """

    __slots__ = ("at", "buffer", "known", "path", "size", "where")

    def __init__(self, file: FileMap, at: int = 0, where: str = "") -> None:
        self.path, self.buffer, self.size = file.path, file.check(file.size, where), file.size
        self.at, self.where = at, where
        self.known = len(self.buffer)  # less than size when only the first bytes are here

    def fail(self, field: str, expected: object, got: object) -> FormatError:
        """The error, to be raised, that blames `field` of what is being read."""
        return FormatError(self.path, f"{self.where} {field}".strip(), expected, got)

    def need(self, count: int, field: str) -> None:
        """Refuse the file unless `count` more bytes follow."""
        left = self.size - self.at
        if count > left:
            raise self.fail(field, f"{count} bytes at offset {self.at}", f"{left} bytes left")
        if self.at + count > self.known:
            raise MoreNeededError(self.at + count)

    def more(self) -> None:
        """Ask for more of a file of which only the first bytes are here, if this is one."""
        if self.known < self.size:
            raise MoreNeededError(self.known + 1)

    def take(self, count: int, field: str) -> int:
        """Step over `count` bytes and return where they begin."""
        self.need(count, field)
        start = self.at
        self.at = start + count
        return start

    def u8(self, field: str) -> int:
        """Read one byte."""
        value: int = self.buffer[self.take(1, field)]
        return value

    def u16(self, field: str) -> int:
        """Read an unsigned number of 2 bytes."""
        value: int = _U16(self.buffer, self.take(2, field))[0]
        return value

    def u32(self, field: str) -> int:
        """Read an unsigned number of 4 bytes."""
        value: int = _U32(self.buffer, self.take(4, field))[0]
        return value

    def i32(self, field: str) -> int:
        """Read a signed number of 4 bytes."""
        value: int = _I32(self.buffer, self.take(4, field))[0]
        return value

    def u64(self, field: str) -> int:
        """Read an unsigned number of 8 bytes."""
        value: int = _U64(self.buffer, self.take(8, field))[0]
        return value

    def raw(self, count: int, field: str) -> bytes:
        """Read `count` bytes."""
        start = self.take(count, field)
        return bytes(self.buffer[start : self.at])

    def text(self, count: int, field: str) -> str:
        """Read `count` bytes of UTF-8."""
        raw = self.raw(count, field)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.fail(field, "UTF-8", shown(raw)) from error
