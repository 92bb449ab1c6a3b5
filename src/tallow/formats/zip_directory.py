"""The records of a zip archive: its end, the entries of its central directory, local headers.

Nothing in them is believed before it is checked: the end record, that of zip64, every entry of
the central directory and every local header must agree with each other and with the file's size.

Sources: PKWARE's APPNOTE.TXT 6.3.10; Python's `zipfile` for what is common practice where that text
is silent (comments, bytes before the archive); RFC 1951 for deflate's limit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, shown
from tallow.lazy_dataclasses import dataclass

_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64: Final = struct.Struct("<4sIQI")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF

STORED: Final = 0
DEFLATED: Final = 8
_METHODS = {1: "shrunk", 6: "imploded", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd"}

# Deflate's densest code is two bits (a length and a distance of one bit each) for 258 bytes.
_MOST_RATIO: Final = 1032


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One member: `packed` bytes of the file from `offset` on, which hold `size` bytes of content.

    `method` is `STORED`, `DEFLATED` or another number of the format; `crc` is that of the content.
    """

    name: str
    method: int
    packed: int
    size: int
    crc: int
    offset: int


def method_name(method: int) -> str:
    """A way of compression in words, for errors."""
    return _METHODS.get(method, "deflated" if method == DEFLATED else f"method {method}")


class EndRecord:
    """What the end of the archive says: where the central directory lies and how many entries.

    `start` and `size` are bytes of the file, `prefix` the bytes before the archive, which all
    offsets in it leave out.
    """

    def __init__(self, file: FileMap) -> None:
        self.path, self.file = file.path, file
        self.claimed = 0  # bytes that the members so far take, headers included
        at = self._find()
        _, disk, first, here, count, size, offset, comment = _END.unpack_from(file.buffer, at)
        self.comment = bytes(file.buffer[at + _END.size : at + _END.size + comment])
        values = {"disk": disk, "first disk": first, "entries here": here, "entries": count}
        values |= {"size": size, "offset": offset}
        if at >= _LOCATOR64.size:
            values, at = self._zip64(values, at)
        if values["disk"] or values["first disk"] or values["entries here"] != values["entries"]:
            self._fail("an archive on one disk", "one split over several")
        self.count, self.size = values["entries"], values["size"]
        self.start = at - self.size
        self.prefix = self.start - values["offset"]
        if self.start < 0 or self.prefix < 0:
            wanted = f"a central directory within the {at} bytes before it"
            self._fail(wanted, f"{self.size} bytes from {values['offset']}")

    def _fail(self, expected: object, got: object) -> NoReturn:
        raise FormatError(self.path, "zip end record", expected, got)

    def _find(self) -> int:
        """The place of the end record: at the very end, or before a comment of 64 KiB at most."""
        size, buffer = self.file.size, self.file.buffer
        last = size - _END.size
        if last >= 0:
            tail = bytes(buffer[last:size])
            if tail[:4] == b"PK\5\6" and tail[-2:] == b"\0\0":
                return last
            start = max(0, last - _FULL16)
            tail = bytes(buffer[start:size])
            at = tail.rfind(b"PK\5\6", 0, last - start + 4)
            if at >= 0:
                return start + at
        return self._fail("PK\\5\\6 in the last 64 KiB of the file", "none")

    def _zip64(self, values: dict[str, int], at: int) -> tuple[dict[str, int], int]:
        """The values of the zip64 record, when a locator stands before the end record."""
        buffer = self.file.buffer
        mark, disk, offset, disks = _LOCATOR64.unpack_from(buffer, at - _LOCATOR64.size)
        if mark != b"PK\6\7":
            return values, at
        start = at - _LOCATOR64.size - _END64.size
        if disk or disks > 1:
            self._fail("an archive on one disk", f"{disks} disks")
        if start < offset or bytes(buffer[start : start + 4]) != b"PK\6\6":
            self._fail(f"a zip64 record of {_END64.size} bytes before its locator", "none")
        fields = _END64.unpack_from(buffer, start)
        if fields[1] != _END64.size - 12:
            self._fail(f"a zip64 record of {_END64.size - 12} bytes", fields[1])
        wide = dict(zip(values, fields[4:], strict=True))
        for name, value in values.items():
            full = _FULL32 if name in ("size", "offset") else _FULL16
            if value not in (full, wide[name]):
                self._fail(f"{name} {wide[name]}, as in the zip64 record", value)
        if offset != wide["size"] + wide["offset"]:
            wanted = f"a zip64 record at {wide['size'] + wide['offset']}, after the directory"
            self._fail(wanted, offset)
        return wide, start


def entries(file: FileMap, end: EndRecord) -> Iterator[tuple[int, ZipMember]]:
    """Each entry of the central directory with the place of its local header."""
    at, stop, count = end.start, end.start + end.size, 0
    if end.size < end.count * _CENTRAL.size:
        wanted = f"{_CENTRAL.size} bytes for each of {end.count} entries"
        raise FormatError(file.path, "central directory", wanted, end.size)
    while at < stop:
        entry = _Entry(file, at, stop)
        yield entry.header(end), entry.member(end)
        at, count = entry.end, count + 1
    if count != end.count:
        raise FormatError(file.path, "central directory", f"{end.count} entries", count)


class _Entry:
    """One entry of the central directory, compared with the local header that it points to."""

    def __init__(self, file: FileMap, at: int, stop: int) -> None:
        self.file, buffer = file, file.buffer
        self.field = f"central directory at byte {at}"
        if stop - at < _CENTRAL.size:
            self._fail(f"an entry of {_CENTRAL.size} bytes", stop - at)
        fields: tuple[Any, ...] = _CENTRAL.unpack_from(buffer, at)
        mark, _, version, flags, self.method = fields[:5]
        self.crc, self.packed, self.size = fields[7:10]
        name, extra, comment, disk = fields[10:14]
        self.offset: int = fields[16]  # of the local header, without the prefix
        begin = at + _CENTRAL.size
        self.end = begin + name + extra + comment
        if mark != b"PK\1\2" or self.end > stop:
            self._fail("an entry within the directory", shown(bytes(buffer[at : at + 4])))
        self.raw_name = bytes(buffer[begin : begin + name])
        self.name = self._decode(flags)
        self.field = f"member {shown(self.name)}"
        disk = self._widen(bytes(buffer[begin + name : begin + name + extra]), disk)
        if disk:
            self._fail("an archive on one disk", f"disk {disk}")
        if version & 0xFF > 63:
            self._fail("version 6.3 of the format or older", f"{version & 0xFF} / 10")
        self._check_flags(flags)
        self._check_sizes()

    def _fail(self, expected: object, got: object) -> NoReturn:
        raise FormatError(self.file.path, self.field, expected, got)

    def _decode(self, flags: int) -> str:
        if b"\0" in self.raw_name:
            self._fail("a name without NUL", shown(self.raw_name))
        try:
            return self.raw_name.decode("utf-8" if flags & 0x800 else "cp437")
        except UnicodeDecodeError as error:
            self._fail("a name in UTF-8", error.reason)

    def _check_flags(self, flags: int) -> None:
        if flags & 0x41:  # 1 encrypted, 0x40 strongly so
            self._fail("a member without encryption", "an encrypted one")
        if flags & 0x2020:  # 0x20 a patch, 0x2000 headers masked by encryption of the directory
            self._fail("a whole member", "a patch or a masked one")

    def _check_sizes(self) -> None:
        if self.method == STORED and self.size != self.packed:
            self._fail(f"{self.packed} bytes, stored", self.size)
        if self.method == DEFLATED and self.size > self.packed * _MOST_RATIO:
            most = f"at most {self.packed * _MOST_RATIO} bytes from {self.packed} deflated ones"
            self._fail(most, self.size)

    def _widen(self, extra: bytes, disk: int) -> int:
        """Take what did not fit into 32 bits from the zip64 field, and return the disk."""
        wide = self._zip64_field(extra)
        size, packed, offset = self.size == _FULL32, self.packed == _FULL32, self.offset == _FULL32
        last = disk == _FULL16
        if wide is None:  # 2^32 - 1 may be meant
            return disk
        if len(wide) < 8 * (size + packed + offset) + 4 * last:
            self._fail("a zip64 field with each size that is 2^32 - 1", f"{len(wide)} bytes")
        values = struct.unpack_from(f"<{size + packed + offset}Q", wide)
        numbers = iter(values)
        self.size = next(numbers) if size else self.size
        self.packed = next(numbers) if packed else self.packed
        self.offset = next(numbers) if offset else self.offset
        return int.from_bytes(wide[8 * len(values) :][:4], "little") if last else disk

    def _zip64_field(self, extra: bytes) -> bytes | None:
        """The content of the extra field 1; what other fields hold is not ours to judge."""
        at, found = 0, None
        while at + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, at)
            at += 4 + length
            if at > len(extra):
                self._fail("extra fields within their space", f"one of {length} bytes")
            if kind == 1:
                if found is not None:
                    self._fail("one zip64 field", "two")
                found = extra[at - length : at]
        return found

    def header(self, end: EndRecord) -> int:
        """The place of the local header in the file."""
        return int(end.prefix + self.offset)

    def member(self, end: EndRecord) -> ZipMember:
        """The member, after comparing its local header with this entry."""
        start, buffer = self.header(end), self.file.buffer
        begin = start + _LOCAL.size
        if begin > end.start:
            self._fail(f"a local header before byte {end.start}", start)
        fields: tuple[Any, ...] = _LOCAL.unpack_from(buffer, start)
        mark, _, flags, method = fields[:4]
        crc, packed, size, name, extra = fields[6:]
        if mark != b"PK\3\4":
            self._fail(f"a local header at byte {start}", shown(mark))
        data = begin + name + extra
        # What they claim together is read: without a look at it, headers that overlap would be read
        # over and over.
        end.claimed += data + self.packed - start
        if end.claimed > end.start and data + self.packed <= end.start:
            got = f"{end.claimed} claimed until here"
            self._fail(f"members that share none of {end.start} bytes", got)
        if data + self.packed > end.start:
            self._fail(f"{self.packed} bytes before byte {end.start}", f"a begin at {data}")
        if bytes(buffer[begin : begin + name]) != self.raw_name:
            got = shown(bytes(buffer[begin : begin + name]))
            self._fail("the same name in its local header", got)
        if method != self.method:
            self._fail(f"{method_name(self.method)} in its local header too", method_name(method))
        self._check_flags(flags)
        self._compare(flags, (crc, size, packed), bytes(buffer[begin + name : data]))
        return ZipMember(self.name, self.method, self.packed, self.size, self.crc, data)

    def _compare(self, flags: int, local: tuple[int, int, int], extra: bytes) -> None:
        """CRC and sizes of the local header; with flag 8 they follow the data and may be 0 here."""
        ours = (self.crc, self.size, self.packed)
        if flags & 8 and all(v in (0, mine, _FULL32) for v, mine in zip(local, ours, strict=True)):
            return
        crc, size, packed = local
        if _FULL32 in (size, packed):
            wide = self._zip64_field(extra) or b""
            count = (size == _FULL32) + (packed == _FULL32)
            if len(wide) >= 8 * count:
                numbers = iter(struct.unpack_from(f"<{count}Q", wide))
                size = next(numbers) if size == _FULL32 else size
                packed = next(numbers) if packed == _FULL32 else packed
        for what, mine, theirs in zip(
            ("CRC-32", "size", "compressed size"), ours, (crc, size, packed), strict=True
        ):
            if mine != theirs:
                self._fail(f"{what} {mine} in its local header too", theirs)


def check_spans(path: str, spans: list[tuple[int, int, str]], stop: int) -> None:
    """No two members may share bytes, headers included; all end before the central directory."""
    spans.sort()
    reached, owner = 0, ""
    for start, end, name in spans:
        if start < reached:
            wanted = f"a begin after {shown(owner)}, at {reached} or later"
            raise FormatError(path, f"member {shown(name)}", wanted, start)
        reached, owner = end, name
    assert reached <= stop
