"""Map a file read-only: what all formats of named arrays share (infos, bounds, closing)."""

from __future__ import annotations

import difflib
import mmap
import os
import secrets
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tallow.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from tallow.tensor import Tensor

MAX_INT64 = 2**63 - 1

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies in its file, and as what; reading it touches no byte of the tensor.

    `dtype` is a name of the dtype table, `shape` is row-major as in PyTorch, `offset` counts bytes
    from the start of the file, `nbytes` is the exact length.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


def shown(value: object, limit: int = 60) -> str:
    """`repr(value)`, cut to about `limit` characters: text from a file may be hostile and long."""
    if isinstance(value, str | bytes) and len(value) > limit:
        return f"{value[:limit]!r}… ({len(value)} long)"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def element_count(shape: tuple[int, ...], limit: int = MAX_INT64) -> int | None:
    """The product of `shape`, or None when it or a product on the way there exceeds `limit`."""
    count = 1
    for length in shape:
        count *= length
        if count > limit:
            return None
    return count


def unknown_name(path: object, name: object, known: Collection[str]) -> FormatError:
    """The error for a tensor that the file lacks, with the names that resemble it most."""
    near: list[str] = []
    if isinstance(name, str) and len(name) < 100:  # the search is quadratic in the lengths
        short = [other for other in islice(known, 1000) if len(other) < 100]
        near = difflib.get_close_matches(name, short, n=3)
    hint = f"no such name; close ones are {', '.join(map(repr, near))}" if near else "no such name"
    wanted = f"one of the {len(known)} tensors of the file"
    return FormatError(path, f"tensor {shown(name)}", wanted, hint)


def _text(path: str | os.PathLike[str]) -> str:
    text = os.fsdecode(path)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise FormatError(ascii(text), "path", "a name of this file system", "others") from None
    if "\0" in text:
        raise FormatError(shown(text), "path", "a name without NUL", "a NUL character")
    return text


class FileMap:
    """A regular file mapped read-only; the pages are read when they are touched, not before.

    The map lives until the last tensor, memoryview or `FileMap` that uses it is gone. A file that
    another program shortens while it is mapped can end the process (SIGBUS), as with every memory
    map; `check` finds it out in time when it happened before the call.

    Raises:
        FormatError: no such file, no permission, empty, or not a regular file.
    """

    __slots__ = ("_map", "path", "size")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _text(path)
        try:
            # Without O_NONBLOCK, opening a pipe waits for a writer that may never come.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0))
            try:
                self._map: mmap.mmap | None = self._open(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise FormatError(self.path, "file", "a readable file", error.strerror) from error

    def _open(self, descriptor: int) -> mmap.mmap:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
            raise FormatError(self.path, "file", "a regular file", kind)
        if status.st_size == 0:
            raise FormatError(self.path, "file", "at least one byte", "an empty file")
        self.size = status.st_size
        try:
            return mmap.mmap(descriptor, self.size, access=mmap.ACCESS_READ)
        except (ValueError, OverflowError) as error:  # cut meanwhile, or beyond the address space
            raise FormatError(self.path, "file", f"{self.size} bytes to map", error) from error

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._map is None

    @property
    def buffer(self) -> mmap.mmap:
        """The whole file as a read-only buffer.

        Raises:
            ArgumentError: the file was closed.
        """
        if self._map is None:
            raise ArgumentError(f"{self.path}: expected an open file, got one that was closed")
        return self._map

    def check(self, end: int, field: str) -> mmap.mmap:
        """The buffer, after checking that the file on disk still reaches up to byte `end`.

        Raises:
            ArgumentError: the file was closed.
            FormatError: the file has been shortened since it was opened.
        """
        buffer = self.buffer
        size = buffer.size()
        if size < end:
            raise FormatError(self.path, field, f"{end} bytes, as when opened", f"{size} bytes")
        return buffer

    def close(self) -> None:
        """Let go of the map; it is unmapped when the last tensor that borrows it is gone."""
        mapped, self._map = self._map, None
        if mapped is not None:
            with suppress(BufferError):  # Tensors still borrow it: the last of them frees it.
                mapped.close()


def replace_file(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file as a whole or not at all: beside its place, flushed to disk, then renamed.

    A reader sees the old file or the new one; maps of the old one keep its bytes.

    Raises:
        FormatError: the folder is missing or read-only, or the disk is full.
    """
    path = _text(path)
    folder = os.path.dirname(path) or "."
    beside = os.path.join(folder, f".tallow-{secrets.token_hex(8)}.tmp")
    try:
        with open(beside, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _flush_folder(folder)
    except OSError as error:
        raise FormatError(path, "file", "a file that can be written", error.strerror) from error
    finally:
        with suppress(OSError):
            os.unlink(beside)


def _flush_folder(folder: str) -> None:
    """Make a rename in `folder` survive a power cut, where the system offers that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class TensorFile:
    """Named arrays of one mapped file: `.tensors` tells what there is, `.tensor(name)` gives one.

    Usable in a `with` statement. Tensors taken before the file is closed stay valid after it.
    """

    def __init__(self, file: FileMap, tensors: dict[str, TensorInfo]) -> None:
        self._file = file
        self.tensors = tensors

    @property
    def path(self) -> str:
        """The path that the file was opened by."""
        return self._file.path

    @property
    def buffer(self) -> mmap.mmap:
        """The whole file as a read-only buffer; `ArgumentError` once the file is closed."""
        return self._file.buffer

    def _locate(self, name: str) -> tuple[mmap.mmap, TensorInfo]:
        info = self.tensors.get(name)
        if info is None:
            raise unknown_name(self.path, name, self.tensors)
        return self._file.check(info.offset + info.nbytes, f"tensor {shown(name)}"), info

    def data(self, name: str) -> memoryview:
        """The bytes of a tensor as they stand in the file, without a copy.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such tensor, or the file has been shortened since it was opened.
        """
        buffer, info = self._locate(name)
        return memoryview(buffer)[info.offset : info.offset + info.nbytes]

    def tensor(self, name: str) -> Tensor:
        """A tensor that borrows its bytes from the map, without a copy.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such tensor, or the file has been shortened since it was opened.
        """
        from tallow.tensor import from_buffer

        buffer, info = self._locate(name)
        return from_buffer(buffer, info.dtype, info.shape, info.offset)

    def close(self) -> None:
        """Let go of the file; tensors that borrow from it stay valid."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self._file.closed else ""
        return f"{type(self).__name__}({self.path!r}, {len(self.tensors)} tensors{state})"
