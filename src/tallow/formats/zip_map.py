"""Read a zip archive through a memory map: stored members as ranges of the file, without a copy.

Members never overlap, so that no small archive unfolds into a huge one by naming the same bytes
many times; `zip_directory` checks the records.
"""

from __future__ import annotations

import mmap
import zlib
from contextlib import suppress
from typing import Final, NoReturn

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, shown
from tallow.formats.zip_directory import (
    DEFLATED,
    STORED,
    EndRecord,
    ZipMember,
    check_spans,
    entries,
    method_name,
)

_CHUNK: Final = 1 << 20


class ZipMap:
    """The members of a mapped zip archive, by name and in the order of the central directory.

    `zip_map.members["x"].offset` is the place of a stored member in the file, `view(name)` its
    bytes without a copy, `read(name, limit)` the content of a stored or deflated one. The map stays
    the caller's: nothing here closes it.

    Accepted as by Python's `zipfile`: a comment, bytes before the archive, zip64, data descriptors.
    Refused beyond it: names that stand twice or contain NUL, counts and sizes that disagree between
    the records, and compressed sizes that could not hold what they claim to.

    Raises:
        FormatError: not a zip archive, damaged, encrypted, or split over several disks.
    """

    __slots__ = ("_file", "comment", "members", "path")

    def __init__(self, file: FileMap) -> None:
        self._file, self.path = file, file.path
        end = EndRecord(file)
        self.comment = end.comment
        self.members: dict[str, ZipMember] = {}
        spans: list[tuple[int, int, str]] = []
        for header, member in entries(file, end):
            if member.name in self.members:
                field = "central directory"
                raise FormatError(file.path, field, "each name once", f"{shown(member.name)} twice")
            self.members[member.name] = member
            spans.append((header, member.offset + member.packed, member.name))
        check_spans(file.path, spans, end.start)
        release_pages(file.buffer)

    def member(self, name: str) -> ZipMember:
        """The member called `name`; `FormatError` when there is none."""
        found = self.members.get(name)
        if found is None:
            wanted = f"one of the {len(self.members)} members of the archive"
            raise FormatError(self.path, f"member {shown(name)}", wanted, "no such name")
        return found

    def view(self, name: str) -> memoryview:
        """The bytes of a stored member as they stand in the file, without a copy.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such member, a compressed one, or the file was shortened meanwhile.
        """
        member = self.member(name)
        if member.method != STORED:
            self._fail(member, "compression", "none (stored)", method_name(member.method))
        return self._packed(member)

    def read(self, name: str, limit: int) -> bytearray:
        """The content of a member, inflated when need be, its length and CRC checked.

        `limit` is the most bytes that the caller is willing to hold. Memory is that of the content
        and one chunk; a stream that is longer than declared is cut off there and refused.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such member, larger than `limit`, damaged, or compressed by a method
                other than deflate.
        """
        member = self.member(name)
        if member.size > limit:
            self._fail(member, "size", f"at most {limit} bytes", member.size)
        packed = self._packed(member)
        if member.method == STORED:
            content = bytearray(packed)
        elif member.method == DEFLATED:
            content = self._inflate(member, packed)
        else:
            self._fail(member, "compression", "stored or deflated", method_name(member.method))
        self._compare_crc(member, zlib.crc32(content))
        return content

    def check_crc(self, name: str) -> None:
        """Compare the bytes of a stored member with its CRC-32, reading all of them.

        Raises:
            FormatError: they differ, or as for `view`.
        """
        view, value = self.view(name), 0
        for start in range(0, len(view), _CHUNK):
            value = zlib.crc32(view[start : start + _CHUNK], value)
        self._compare_crc(self.member(name), value)

    def _compare_crc(self, member: ZipMember, found: int) -> None:
        if found != member.crc:
            self._fail(member, "CRC-32", f"{member.crc:#010x}", f"{found:#010x}")

    def _packed(self, member: ZipMember) -> memoryview:
        end = member.offset + member.packed
        return self._file.check(end, f"member {shown(member.name)}")[member.offset : end]

    def _inflate(self, member: ZipMember, packed: memoryview) -> bytearray:
        # Not touched before it is filled: the system gives pages as the stream proves its size.
        content = bytearray(member.size)
        stream, at, filled = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        pending: bytes | memoryview = b""
        try:
            while not stream.eof:
                if not pending and at < len(packed):
                    pending, at = packed[at : at + _CHUNK], at + _CHUNK
                chunk = stream.decompress(pending, min(_CHUNK, member.size - filled + 1))
                pending = stream.unconsumed_tail
                if filled + len(chunk) > member.size:
                    self._fail(member, "content", f"{member.size} bytes", "more")
                content[filled : filled + len(chunk)] = chunk
                filled += len(chunk)
                if not (chunk or pending or at < len(packed) or stream.eof):
                    break
        except zlib.error as error:
            self._fail(member, "content", "a deflate stream", error)
        if not stream.eof or filled != member.size:
            self._fail(member, "content", f"{member.size} bytes", f"{filled}")
        if stream.unused_data or pending or at < len(packed):
            self._fail(member, "content", "one deflate stream", "bytes after it")
        return content

    def _fail(self, member: ZipMember, part: str, expected: object, got: object) -> NoReturn:
        raise FormatError(self.path, f"member {shown(member.name)} {part}", expected, got)

    def __repr__(self) -> str:
        return f"ZipMap({self.path!r}, {len(self.members)} members)"


def is_zip(file: FileMap) -> bool:
    """Whether the file begins with the signature of a zip member or of an empty archive."""
    return bytes(file.buffer[:4]) in (b"PK\3\4", b"PK\5\6")


def release_pages(buffer: memoryview) -> None:
    """Unmap what was touched of a mapped file to read headers that lie all over it.

    The system maps 64 KiB around each page that is touched: hundreds of members would count as
    tens of megabytes of this process. Pages come back from the system's cache when they are used.
    """
    mapped = buffer.obj
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        with suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)
