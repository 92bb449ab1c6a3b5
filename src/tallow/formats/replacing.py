"""The one way to write a file: whole or not at all, in the place, mode and hands of the old one."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import BinaryIO, Final

# Signals that end a process at once, and would leave what is half written.
_ENDING: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# Names of open files and devices: a rename would put a file in the place of the name.
_THROUGH: Final = ("/dev/", "/proc/")
_unfinished: set[str] = set()
# Bytes that are written at a time. Pieces of 2 MB and more, at multiples of that, lie in the file
# cache in large pages where the system has these, and a mapped model is read faster (docs/log.md).
PIECE: Final = 4 << 20


class PieceWriter:
    """Writes to a file descriptor in pieces that end at multiples of `PIECE`; `at` is its place."""

    def __init__(self, handle: int, at: int = 0) -> None:
        self._handle = handle
        self._held = bytearray()
        self._room = PIECE - at % PIECE  # of the piece that is begun

    def write(self, block: bytes | memoryview) -> None:
        """Take a block, and write what makes a piece; a whole piece is not copied."""
        view = memoryview(block)
        while view:
            part, view = view[: self._room], view[self._room :]
            if self._held or len(part) < self._room:
                self._held += part
                self._room -= len(part)
            else:
                self._write(part)
                self._room = PIECE
            if not self._room:
                self.flush()
                self._room = PIECE

    def flush(self) -> None:
        """Write what is left."""
        held, self._held = self._held, bytearray()
        self._write(held)

    def _write(self, data: memoryview | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle, view) :]


class Replacement:
    """A file that is being written beside its place; `commit` puts it there, `discard` removes it.

    A link is followed. Mode and owner of a file that stands there are kept. What is no regular file
    (a pipe, a device, `/dev/stdout`) is written through and never replaced.

    Raises:
        OSError: the folder is missing or read-only, or the place is a folder.
    """

    def __init__(self, path: str) -> None:
        found = _status(path)
        self.beside: str | None = None
        if found is not None and (_through(path) or not stat.S_ISREG(found.st_mode)):
            self.place = path
            flags = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
            self.file: BinaryIO = os.fdopen(os.open(path, flags), "wb", buffering=0)
            self._writer = PieceWriter(self.file.fileno())
            return
        self.place = os.path.realpath(path) if os.path.islink(path) else path
        folder = os.path.dirname(self.place) or "."
        beside = os.path.join(folder, f".tallow-{os.urandom(8).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        _unfinished.add(beside)
        self.beside = beside
        try:
            # Nobody may read over our shoulder what only its owner may read.
            descriptor = os.open(beside, flags, 0o666 if found is None else 0o600)
            self.file = os.fdopen(descriptor, "wb", buffering=0)
            self._writer = PieceWriter(descriptor)
            if found is not None:
                _inherit(descriptor, found)
        except BaseException:  # an interrupt, too, leaves no half file
            self.discard()
            raise

    def write(self, chunk: bytes | memoryview) -> None:
        """Write all of `chunk`, at the latest by `finish`; what is written through, at once."""
        self._writer.write(chunk)
        if self.beside is None:
            self._writer.flush()

    def finish(self) -> None:
        """Flush to disk and close; nothing stands in its place yet."""
        self._writer.flush()
        if self.beside is not None:
            os.fsync(self.file.fileno())
        self.file.close()

    def commit(self) -> None:
        """Put the finished file in its place."""
        if self.beside is not None:
            os.replace(self.beside, self.place)
            _unfinished.discard(self.beside)
            self.beside = None

    def discard(self) -> None:
        """Remove what was not committed."""
        file = getattr(self, "file", None)
        if file is not None:
            with suppress(OSError):
                file.close()
        if self.beside is not None:
            with suppress(OSError):
                os.unlink(self.beside)
            _unfinished.discard(self.beside)
            self.beside = None


@contextmanager
def replacing(path: str) -> Iterator[Replacement]:
    """A `Replacement` that is flushed and committed at the end of the block, or discarded.

    Raises:
        OSError: as of `Replacement`, or the disk is full.
    """
    with cleaned_at_signals():
        made = Replacement(path)
        try:
            yield made
            renamed = made.beside is not None
            made.finish()
            made.commit()
            if renamed:
                flush_folder(os.path.dirname(made.place) or ".")
        finally:
            made.discard()


@contextmanager
def cleaned_at_signals() -> Iterator[None]:
    """In the block SIGTERM and SIGHUP remove unfinished files before they end the process.

    Where the program has a handler of its own, or in another thread than the first, nothing is
    changed.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    for beside in list(_unfinished):
        with suppress(OSError):
            os.unlink(beside)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def flush_folder(folder: str) -> None:
    """Make a rename in `folder` survive a power cut, where the system offers that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _through(path: str) -> bool:
    return os.name == "posix" and os.path.abspath(path).startswith(_THROUGH)


def _inherit(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the owner and mode of the old one, as far as the system lets us."""
    if not hasattr(os, "fchown"):
        return
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except OSError:
            with suppress(OSError):
                os.fchown(descriptor, -1, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)
