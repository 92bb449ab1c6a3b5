"""Temporary folders that only their user can read, and that do not outlive their server."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX = "tallow-serve-"


class PrivateFolder:
    """A folder (mode 0700) under the system's for temporary files, gone after `close`.

    A lock in it says that its server runs. What servers that were killed left behind is removed
    when the next one starts.
    """

    def __init__(self, under: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir() if under is None else under)
        _sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock: IO[bytes] = open(self.path / "lock", "wb")  # noqa: SIM115 held until `close`
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def folder(self, name: str) -> Path:
        """A new folder inside."""
        made = self.path / name
        made.mkdir(mode=0o700)
        return made

    def close(self) -> None:
        """Remove it with everything in it."""
        remove(self.path)
        self._lock.close()


def remove(folder: Path) -> None:
    """Remove a folder with everything in it; one that is gone is well."""
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for found in parent.glob(f"{_PREFIX}*"):
        try:
            if found.is_symlink() or found.lstat().st_uid != os.geteuid():
                continue
            with open(found / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # in use, being made, or not one of ours
            continue
        remove(found)
