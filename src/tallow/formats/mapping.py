"""Map a file or borrow bytes, read-only: what all formats share (infos, bounds, closing)."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

from tallow.errors import ArgumentError, DTypeError, FormatError, MissingFileError, ShapeError
from tallow.formats.mistaken import mistaken_for
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tallow.tensor import Tensor

    # What every `open_*` takes: a path, or the content itself as a contiguous bytes-like object.
    Source: TypeAlias = str | os.PathLike[str] | Buffer

MAX_INT64: Final = 2**63 - 1

_KINDS = {
    stat.S_IFDIR: "a directory (name a file in it)",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_LARGE: Final = 16 << 20  # bytes of a file whose pages are worth advice
_EMPTY = "an empty file (left by a download or a save that was interrupted?)"


class Stored(NamedTuple):
    """Dtype and shape in the words of a file, of a tensor that Tallow only keeps as bytes."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies in its file, and as what; reading it touches no byte of the tensor.

    `dtype` is a name of the dtype table, `shape` is row-major as in PyTorch, `offset` counts bytes
    from the start of the file, `nbytes` is the exact length. `stored` is set when the file's dtype
    is none of ours: `dtype` is then `u8`, and the last axis of `shape` counts bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    stored: Stored | None = None


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
        from difflib import get_close_matches

        near = get_close_matches(name, short, n=3)
    hint = f"no such name; close ones are {', '.join(map(repr, near))}" if near else "no such name"
    wanted = f"one of the {len(known)} tensors of the file"
    return FormatError(path, f"tensor {shown(name)}", wanted, hint)


def borrow(path: str, info: TensorInfo, buffer: object, offset: int) -> Tensor:
    """The tensor of `info`, on the bytes of `buffer` from `offset` on, without a copy.

    Only where the bytes lie at an address that does not suit the dtype they are copied.

    Raises:
        FormatError: Tallow does not compute with such a dtype, or holds no such shape.
    """
    from tallow.formats import arrays

    field = f"tensor {shown(info.name)}"
    try:
        return arrays.borrow(buffer, info.dtype, info.shape, offset)
    except DTypeError:
        wanted = "a dtype that Tallow computes with (`data` gives the bytes)"
        raise FormatError(path, f"{field} dtype", wanted, info.dtype) from None
    except ShapeError as error:  # more axes, or longer ones, than an array may have
        wanted = "a shape that Tallow can hold"
        raise FormatError(path, f"{field} shape", wanted, shown(info.shape)) from error


def unusable(path: str, wanted: str, error: OSError) -> FormatError:
    """The error for a file that the system refuses to open or to write."""
    kind = MissingFileError if isinstance(error, FileNotFoundError) else FormatError
    return kind(path, "file", wanted, error.strerror)


class MoreNeededError(Exception):
    """Of the file only the first bytes are here, and reading on takes those up to `end`."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as text; FormatError for one that no file system takes."""
    text = os.fsdecode(path)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise FormatError(ascii(text), "path", "a name of this file system", "others") from None
    if "\0" in text:
        raise FormatError(shown(text), "path", "a name without NUL", "a NUL character")
    return text


class FileMap:
    """The bytes of a regular file, mapped read-only, or of an object in memory, borrowed.

    A path (`str` or `PathLike`) is mapped: the pages are read when they are touched, not before.
    Anything else must be contiguous and bytes-like (`bytes`, `bytearray`, `memoryview`, `mmap`, a
    numpy array of a plain dtype) and is the content itself; it is neither copied nor written to,
    and `path` is then the type's name, such as `<bytes>`.

    The bytes live until the last tensor, memoryview or `FileMap` that uses them is gone. A file
    that another program shortens while it is mapped can end the process (SIGBUS), as with every
    memory map; `check` finds it out in time when it happened before the call.

    Raises:
        ArgumentError: neither a path nor a contiguous bytes-like object.
        FormatError: no such file, no permission, empty, or not a regular file.
    """

    __slots__ = ("_map", "_view", "path", "size")

    def __init__(self, source: Source) -> None:
        self._map: mmap.mmap | None = None
        self._view: memoryview | None
        if isinstance(source, str | os.PathLike):
            self.path = path_text(source)
            self._map = self._open()
            self._view = memoryview(self._map)
        else:
            self.path = f"<{type(source).__name__}>"
            self._view = self._borrow(source)
        self.size = len(self._view)

    def _open(self) -> mmap.mmap:
        # Without O_NONBLOCK, opening a pipe waits for a writer that may never come.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0))
            try:
                return self._map_whole(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unusable(self.path, "a readable file", error) from error

    def _map_whole(self, descriptor: int) -> mmap.mmap:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
            raise FormatError(self.path, "file", "a regular file", kind)
        size = status.st_size
        if size == 0:
            raise FormatError(self.path, "file", "at least one byte", _EMPTY)
        try:
            mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        except (ValueError, OverflowError) as error:  # cut meanwhile, or beyond the address space
            raise FormatError(self.path, "file", f"{size} bytes to map", error) from error
        # What comes from disk, comes in large pages; else each reading by places makes small ones,
        # which stay in the file cache and are slow to find. A system may not know the advice.
        if size >= _LARGE and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):
                mapped.madvise(mmap.MADV_HUGEPAGE)
        return mapped

    def _borrow(self, source: Buffer) -> memoryview:
        wanted = "a path or a contiguous bytes-like object of plain numbers"
        try:
            view = memoryview(source)
            if not view.nbytes:
                raise FormatError(self.path, "file", "at least one byte", "no bytes")
            if view.c_contiguous:
                return view.cast("B").toreadonly()
            got = f"{self.path} with gaps or another order"
        except (TypeError, BufferError) as error:
            got = f"{self.path} ({error})"
        except ValueError as error:
            if isinstance(error, FormatError):
                raise
            got = f"{self.path} ({error})"
        raise ArgumentError(f"open: expected {wanted}, got {got}")

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._view is None

    @property
    def buffer(self) -> memoryview:
        """All bytes as a read-only memoryview; a slice of it copies nothing, `bytes(slice)` does.

        Raises:
            ArgumentError: the file was closed.
        """
        if self._view is None:
            raise ArgumentError(f"{self.path}: expected an open file, got one that was closed")
        return self._view

    def check(self, end: int, field: str) -> memoryview:
        """The buffer, after checking that the file on disk still reaches up to byte `end`.

        Raises:
            ArgumentError: the file was closed.
            FormatError: the file has been shortened since it was opened.
        """
        buffer = self.buffer
        size = self.size if self._map is None else self._map.size()
        if size < end:
            raise FormatError(self.path, field, f"{end} bytes, as when opened", f"{size} bytes")
        return buffer

    def find(self, part: bytes, start: int = 0) -> int:
        """Where `part` stands first at or after byte `start`, -1 where it does not."""
        buffer = self.buffer
        if self._map is not None:
            return self._map.find(part, start)
        import re

        found = re.compile(re.escape(part)).search(buffer, start)
        return found.start() if found else -1

    def close(self) -> None:
        """Let go of the bytes; they are freed when the last tensor that borrows them is gone."""
        view, self._view = self._view, None
        mapped, self._map = self._map, None
        with suppress(BufferError):  # Tensors still borrow it: the last of them frees it.
            if view is not None:
                view.release()
            if mapped is not None:
                mapped.close()


@contextmanager
def opening(source: Source) -> Iterator[FileMap]:
    """A `FileMap` for the file that is made of it in the block; closed where that fails.

    The error of a file that is something else altogether, such as a web page, says so.
    """
    file = FileMap(source)
    try:
        yield file
    except FormatError as error:
        what = None if file.closed else mistaken_for(bytes(file.buffer[:512]))
        file.close()
        if what is None:
            raise
        field = "content" if error.field == "content" else "file"
        raise FormatError(file.path, field, "weights", what) from error
    except BaseException:  # an interrupt, too, closes what was opened
        file.close()
        raise


class TensorFile:
    """Named arrays of one file: `.tensors` tells what there is, `.tensor(name)` gives one.

    Usable in a `with` statement. Tensors taken before the file is closed stay valid after it.
    """

    def __init__(self, file: FileMap, tensors: dict[str, TensorInfo]) -> None:
        self._file = file
        self.tensors = tensors

    @property
    def path(self) -> str:
        """The path that the file was opened by; `<bytes>` and the like for bytes in memory."""
        return self._file.path

    @property
    def stored_size(self) -> int | None:
        """The size of the file, which tensors that overlap or repeat elements may exceed."""
        return self._file.size

    @property
    def buffer(self) -> memoryview:
        """The whole file as a read-only buffer; `ArgumentError` once the file is closed."""
        return self._file.buffer

    def _locate(self, name: str) -> tuple[memoryview, TensorInfo]:
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
        return buffer[info.offset : info.offset + info.nbytes]

    def tensor(self, name: str) -> Tensor:
        """A tensor that borrows its bytes from the map, without a copy.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such tensor, the file has been shortened since it was opened, or the
                format knows a dtype that Tallow does not compute with (`data` gives its bytes).
        """
        buffer, info = self._locate(name)
        return borrow(self.path, info, buffer, info.offset)

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
