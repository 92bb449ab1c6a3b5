"""The cache folder: its place, records, locks between processes, and all-or-nothing writes.

Below the root lie `records/` (one small JSON per reference), `locks/`, `staging/` (unfinished work
that the next try clears), and the files themselves under `pypi/` and `web/`. Files of `hf:` refs
stay in the cache of huggingface_hub, which other programs share; only their record is here.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tallow.errors import HubError, TallowError
from tallow.formats.replacing import PIECE, flush_folder, replacing
from tallow.hub.progress import size_text
from tallow.hub.refs import failure, short_hash
from tallow.lazy_dataclasses import dataclass

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_WRITE = {errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class CachedFile:
    """A reference that is in the cache: its path, bytes, and sha256 where it is one file."""

    ref: str
    path: Path
    size: int
    sha256: str | None


@dataclass(frozen=True)
class CacheEntry:
    """One file of a record: its path (below the cache root, or absolute), size and sha256.

    `owned` is false for a file that was there before Tallow came; `remove` leaves it.
    """

    path: str
    size: int
    sha256: str | None
    owned: bool = True


@dataclass(frozen=True)
class Record:
    """What one reference became; `source_sha256` is of the wheel that the files came from."""

    ref: str
    path: str
    files: tuple[CacheEntry, ...]
    source_sha256: str | None = None
    created: float = 0.0


def cache_root() -> Path:
    """`TALLOW_CACHE`, else `$XDG_CACHE_HOME/tallow`, else `~/.cache/tallow`."""
    named = os.environ.get("TALLOW_CACHE")
    if named:
        return Path(home_expanded(named)).absolute()
    return xdg_cache() / "tallow"


def xdg_cache() -> Path:
    """`$XDG_CACHE_HOME` if it is absolute, as its specification asks, else `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else home_expanded("~/.cache"))


def home_expanded(path: str) -> str:
    """`path` with its `~` expanded; raises `HubError` where no home folder is known."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise failure(path, "cache folder", "a home folder", "none; set TALLOW_CACHE")
    return expanded


class Cache:
    """The records, locks and free space below one root; nothing is created before it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """The place of a record's path: below the root unless absolute."""
        return self.root / name

    def record_file(self, key: str) -> Path:
        """The JSON file of the reference `key`."""
        return self.root / "records" / f"{key.partition(':')[0]}-{short_hash(key)}.json"

    def staging(self, key: str) -> Path:
        """The folder for unfinished work on `key`, for the holder of its lock."""
        return self.root / "staging" / short_hash(key)

    def lookup(self, key: str) -> Record | None:
        """The record of `key` if all its files are there in full size, else None."""
        record = self.read(key)
        return record if record and self.is_whole(record) else None

    def read(self, key: str) -> Record | None:
        """The record of `key`, whatever has become of its files."""
        record = _read_record(self.record_file(key))
        return record if record and record.ref == key else None

    def is_whole(self, record: Record) -> bool:
        """Whether every file of the record exists and has the recorded size."""
        try:
            return all(os.stat(self.path(f.path)).st_size == f.size for f in record.files)
        except OSError:
            return False

    def records(self) -> list[Record]:
        """Every readable record, by reference."""
        found = (_read_record(file) for file in (self.root / "records").glob("*.json"))
        return sorted((record for record in found if record), key=lambda record: record.ref)

    def store(self, record: Record) -> None:
        """Write a record; call it when its files are in place."""
        file = self.record_file(record.ref)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(record) | {"created": time.time()})

    def verify(self, record: Record, label: str) -> None:
        """Raise `HubError` when a file's sha256 differs from the record; that file is removed."""
        for entry in record.files:
            path = self.path(entry.path)
            if entry.sha256 and (found := sha256_of(path)) != entry.sha256:
                discard(
                    path.resolve()
                )  # in huggingface_hub's cache the link's blob is what is wrong
                discard(path)
                raise failure(label, f"sha256 of {path} (removed)", entry.sha256, found)

    @contextmanager
    def locked(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of `key`; `on_wait` is called once if another process holds it."""
        file = self.root / "locks" / f"{short_hash(key)}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _try_lock(handle):
                on_wait()
                while not _try_lock(handle):
                    time.sleep(0.1)
            yield
        finally:
            os.close(handle)  # which also unlocks


if sys.platform == "win32":

    def _try_lock(handle: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _try_lock(handle: int) -> bool:
        try:
            import fcntl
        except ImportError:  # in a browser there is one process
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _read_record(file: Path) -> Record | None:
    try:
        raw = json.loads(file.read_bytes())
        files = tuple(
            CacheEntry(str(f["path"]), int(f["size"]), f["sha256"], bool(f["owned"]))
            for f in raw["files"]
        )
        created = float(raw["created"])
        if not files:
            return None
        return Record(str(raw["ref"]), str(raw["path"]), files, raw["source_sha256"], created)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file that is whole or absent."""
    with replacing(str(file)) as made:
        made.write(json.dumps(value).encode())


def install(temporary: Path, target: Path) -> None:
    """Move a finished file or folder to its place in one step, replacing what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        old = temporary.with_name(temporary.name + ".old")
        os.replace(target, old)
        discard(old)
    os.replace(temporary, target)
    flush_folder(str(target.parent))


def discard(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hexadecimal digits."""
    from hashlib import sha256

    digest = sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(PIECE):
            digest.update(block)
    return digest.hexdigest()


def require_space(folder: Path, needed: int, label: str) -> None:
    """Raise `HubError` when the disk that will hold `folder` has fewer than `needed` bytes free."""
    import shutil

    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise failure(label, f"free space in {folder}", size_text(needed), size_text(free))


@contextmanager
def storage_errors(label: str, folder: Path, variable: str = "TALLOW_CACHE") -> Iterator[None]:
    """Turn an `OSError` of the file system into a `HubError`; `variable` moves the cache."""
    try:
        yield
    except TallowError:
        raise
    except OSError as error:
        raise _storage_error(label, folder, variable, error) from error


def _storage_error(label: str, folder: Path, variable: str, error: OSError) -> HubError:
    where = error.filename or folder
    if error.errno in _NO_SPACE:
        wanted, advice = "free space on the disk", f"; set {variable} to a folder on another disk"
    elif error.errno in _NO_WRITE:
        wanted, advice = "a cache folder to write to", f"; set {variable} to one"
    else:
        wanted, advice = "a working cache folder", ""
    found = failure(label, str(where), wanted, f"{error.strerror or error}{advice}")
    found.errno = error.errno
    return found
