"""Write zip archives of stored members, each aligned so that it can be mapped in place.

Source: PKWARE's APPNOTE.TXT 6.3.10; the padding is the extra field 0xD935 of Android's zipalign.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tallow.errors import ArgumentError
from tallow.formats.mapping import shown
from tallow.lazy_dataclasses import dataclass

ALIGNMENT: Final = 64
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_FULL16, _FULL32 = 2**16 - 1, 2**32 - 1
_UTF8: Final = 0x800
_DATE: Final = 0x21  # 1 January 1980, the first day of the format: the same content, the same file
_PADDING_FIELD: Final = 0xD935


@dataclass(frozen=True, slots=True)
class MemberData:
    """What one member holds: `size` bytes, given anew by each call of `pieces`."""

    size: int
    pieces: Callable[[], Iterable[bytes | memoryview]]


def zip_chunks(members: Iterable[tuple[str, MemberData]]) -> Iterator[bytes | memoryview]:
    """The bytes of an archive; each member is asked for when its turn comes, and read twice.

    Raises:
        ArgumentError: a name that is not text, is too long or stands twice.
    """
    entries: list[bytes] = []
    seen: set[bytes] = set()
    at = 0
    for name, content in members:
        raw = _name(name)
        if raw in seen:
            raise ArgumentError(f"zip: member {shown(name)}: expected each name once")
        seen.add(raw)
        crc = 0
        for piece in content.pieces():
            crc = zlib.crc32(piece, crc)
        head = _local(raw, crc, content.size, at)
        yield head
        yield from content.pieces()
        entries.append(_central(raw, crc, content.size, at))
        at += len(head) + content.size
    directory = b"".join(entries)
    yield directory
    yield _end(len(entries), len(directory), at)


def _name(name: object) -> bytes:
    if isinstance(name, str) and name and "\0" not in name:
        try:
            raw = name.encode()
        except UnicodeEncodeError:
            raw = b""
        if 0 < len(raw) <= _FULL16:
            return raw
    wanted = f"text of 1 to {_FULL16} bytes without NUL"
    raise ArgumentError(f"zip: member {shown(name)}: expected {wanted} as name")


def _flags(name: bytes) -> int:
    return 0 if name.isascii() else _UTF8


def _local(name: bytes, crc: int, size: int, at: int) -> bytes:
    wide = size >= _FULL32
    extra = struct.pack("<2H2Q", 1, 16, size, size) if wide else b""
    fixed = _LOCAL.size + len(name) + len(extra) + 6  # 6 for the padding field without its zeros
    zeros = -(at + fixed) % ALIGNMENT
    extra += struct.pack("<3H", _PADDING_FIELD, 2 + zeros, ALIGNMENT) + bytes(zeros)
    shown_size = _FULL32 if wide else size
    fields = (45 if wide else 20, _flags(name), 0, 0, _DATE, crc, shown_size, shown_size)
    return _LOCAL.pack(b"PK\3\4", *fields, len(name), len(extra)) + name + extra


def _central(name: bytes, crc: int, size: int, at: int) -> bytes:
    wide = b"" if size < _FULL32 else struct.pack("<2Q", size, size)
    wide += b"" if at < _FULL32 else struct.pack("<Q", at)
    extra = struct.pack("<2H", 1, len(wide)) + wide if wide else b""
    version = 45 if wide else 20
    shown_size = min(size, _FULL32)
    fields = (version, version, _flags(name), 0, 0, _DATE, crc, shown_size, shown_size)
    rest = (len(name), len(extra), 0, 0, 0, 0, min(at, _FULL32))
    return _CENTRAL.pack(b"PK\1\2", *fields, *rest) + name + extra


def _end(count: int, size: int, at: int) -> bytes:
    record = b""
    if count >= _FULL16 or size >= _FULL32 or at >= _FULL32:
        record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, at)
        record += struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    few = min(count, _FULL16)
    short = (0, 0, few, few, min(size, _FULL32), min(at, _FULL32), 0)
    return record + struct.pack("<4s4H2IH", b"PK\5\6", *short)
