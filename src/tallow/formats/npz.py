"""numpy's `.npz` archives without numpy: named arrays, mapped where they are stored uncompressed.

Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html: a zip archive in which
the member `x.npy` is the array `x`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tallow.dtype import by_name
from tallow.errors import FormatError
from tallow.formats.lazy import LazyTensor, Tensors, described, written
from tallow.formats.mapping import FileMap, TensorFile, opening, shown, unknown_name
from tallow.formats.npy_file import NpyInfo, array_of, check_void, row_major
from tallow.formats.npy_header import FIRST, MAGIC, encode_header, head_length, parse_header
from tallow.formats.writing import write_to
from tallow.formats.zip_directory import DEFLATED, STORED, ZipMember
from tallow.formats.zip_map import ZipMap, release_pages
from tallow.formats.zip_write import MemberData, zip_chunks

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor

SUFFIX: Final = ".npy"
LEAST_LIMIT: Final = 256 << 20  # bytes that any archive may unfold to
MOST_RATIO: Final = 64  # and how many times its size a larger one may; zeros reach 1000
_STEP: Final = 4096  # compressed bytes that are looked at together for the head of an array


class NpzFile(TensorFile):
    """An open `.npz` archive: `.tensors`, `.tensor(name)`; `.metadata` is empty.

    `.others` has the members that are no arrays of numbers (text, objects, files), each with the
    error that asking for it raises.
    """

    def __init__(self, file: FileMap, archive: ZipMap, void: str | None) -> None:
        super().__init__(file, {})
        self.metadata: dict[str, str] = {}
        self.others: dict[str, FormatError] = {}
        self._archive = archive
        self._infos: dict[str, tuple[NpyInfo, ZipMember, int]] = {}
        for member in archive.members.values():
            if not member.name.endswith("/"):
                self._add_member(member, void)
        release_pages(file.buffer)  # of the heads of all arrays, which lie all over the file
        self.tensors = {name: info for name, (info, _, _) in self._infos.items()}

    def _add_member(self, member: ZipMember, void: str | None) -> None:
        name = member.name.removesuffix(SUFFIX)
        where = f"member {shown(member.name)} "
        if name in self._infos or name in self.others:
            raise FormatError(self.path, where.strip(), "a name not used before", shown(name))
        first = _start(self._file, member, FIRST)
        if first[: len(MAGIC)] != MAGIC:
            self.others[name] = FormatError(self.path, f"{where}magic", MAGIC, shown(first))
            return
        length = head_length(self.path, where, first)
        head = _start(self._file, member, length)
        if len(head) < length:
            raise FormatError(self.path, f"{where}header", f"{length} bytes", len(head))
        try:
            header = parse_header(self.path, where, head, void)
        except FormatError as error:
            if not error.field.endswith("descr"):
                raise
            self.others[name] = error.with_traceback(None)  # which holds the frames
            return
        if header.length + header.nbytes != member.size:
            wanted = f"{header.nbytes} bytes after the header, for {header.dtype} {header.shape}"
            raise FormatError(self.path, f"{where}data", wanted, member.size - header.length)
        stored = member.method == STORED
        info = NpyInfo.of(name, header, member.offset + (header.length if stored else 0))
        self._infos[name] = info, member, header.length

    def _bytes(self, name: str) -> tuple[NpyInfo, memoryview, int]:
        """An array's info, a buffer that it lies in, and where."""
        if name in self.others:
            known = self.others[name]
            raise FormatError(known.path, known.field, known.expected, known.got)
        if name not in self._infos:
            raise unknown_name(self.path, name, self.tensors)
        info, member, start = self._infos[name]
        if member.method != STORED:
            return info, memoryview(self._archive.read(member.name, member.size)), start
        buffer = self._file.check(info.offset + info.nbytes, f"tensor {shown(name)}")
        return info, buffer, info.offset

    @property
    def stored_size(self) -> None:
        """Unknown: how far compressed arrays unfold is limited when the archive is opened."""
        return None

    def tensor(self, name: str) -> Tensor:
        """An array; without a copy if it is stored, little-endian and at an address that suits it.

        A compressed one is inflated each time, and its checksum compared.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such array, damaged compressed data, or one of `.others`.
        """
        info, buffer, offset = self._bytes(name)
        return array_of(info, buffer, offset)

    def data(self, name: str) -> memoryview:
        """The bytes of an array in row-major order, little-endian; errors as of `tensor`."""
        info, buffer, offset = self._bytes(name)
        stored = buffer[offset : offset + info.nbytes]
        return row_major(info, array_of(info, buffer, offset), stored)

    def verify(self) -> None:
        """Compare every stored array with its checksum, which taking a tensor does not.

        Raises:
            FormatError: one of them is damaged.
        """
        for _, member, _ in self._infos.values():
            if member.method == STORED:
                self._archive.check_crc(member.name)


def open_npz(
    source: Source, *, void: str | None = None, max_inflated: int | None = None
) -> NpzFile:
    """Open an `.npz` archive by mapping it; only the directory and the head of each array are read.

    `void` is as in `open_npy`. Compressed members may unfold to `max_inflated` bytes together, by
    default 256 MB or 64 times the file, whichever is more: beyond it, the archive is refused.

    Raises:
        ArgumentError: another `void`.
        FormatError: no zip archive, a damaged or encrypted one, members that overlap, claim more
            than they can hold or have the same name, or an array whose head does not fit its data.
    """
    check_void("open_npz", void)
    with opening(source) as file:
        archive = ZipMap(file)
        if max_inflated is None:
            max_inflated = max(LEAST_LIMIT, MOST_RATIO * file.size)
        total = sum(m.size for m in archive.members.values() if m.method != STORED)
        if total > max_inflated:
            wanted = f"at most {max_inflated} bytes (pass a larger max_inflated to trust the file)"
            raise FormatError(file.path, "inflated size", wanted, total)
        return NpzFile(file, archive, void)


def _start(file: FileMap, member: ZipMember, count: int) -> bytes:
    """The first `count` bytes of a member, or all if it has fewer."""
    packed = file.buffer[member.offset : member.offset + member.packed]
    if member.method == STORED:
        return bytes(packed[:count])
    field = f"member {shown(member.name)}"
    if member.method != DEFLATED:
        got = f"method {member.method}"
        raise FormatError(file.path, f"{field} compression", "stored or deflated", got)
    stream, found = zlib.decompressobj(-zlib.MAX_WBITS), b""
    try:
        for at in range(0, len(packed), _STEP):
            found += stream.decompress(packed[at : at + _STEP], count - len(found))
            if len(found) == count or stream.eof:
                break
    except zlib.error as error:
        raise FormatError(file.path, f"{field} content", "a deflate stream", error) from error
    if len(found) < min(count, member.size):
        raise FormatError(file.path, f"{field} content", f"{member.size} bytes", len(found))
    return found


def save_npz(tensors: Tensors, path: Target, *, void: bool = False) -> None:
    """Write named arrays as `.npz`, uncompressed, which `numpy.load` reads; whole or not at all.

    Each array begins at a multiple of 64 bytes, so that it can be mapped. The same tensors make the
    same file, whenever it is written. `path` may be an open binary file. `void`: see `save_npy`.

    Raises:
        ArgumentError: a name that is empty, not text, or has a NUL.
        DTypeError: a dtype that `.npy` lacks.
        FormatError: the file cannot be written.
    """
    for name in tensors:
        dtype, shape = described(tensors[name])
        encode_header(f"save_npz: {shown(name)}", dtype, shape, void=void)
    write_to(path, zip_chunks(_members(tensors, void)))


def _members(tensors: Tensors, void: bool) -> Iterator[tuple[str, MemberData]]:
    for name in tensors:
        where = f"save_npz: {shown(name)}"
        tensor = tensors[name]
        dtype, shape = described(tensor)
        head = encode_header(where, dtype, shape, void=void)
        nbytes = math.prod(shape) * by_name(dtype).itemsize
        # Both passes over a lazy tensor are over the one that was made.
        body = list(written(where, tensor, nbytes)) if isinstance(tensor, LazyTensor) else None
        yield f"{name}{SUFFIX}", MemberData(len(head) + nbytes, _pieces(head, tensor, body))


def _pieces(
    head: bytes, tensor: Tensor | LazyTensor, body: list[memoryview] | None
) -> Callable[[], Iterator[bytes | memoryview]]:
    def again() -> Iterator[bytes | memoryview]:
        yield head
        yield from written("", tensor, 0) if body is None else body

    return again
