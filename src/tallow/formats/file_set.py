"""Write the files of one set so that a reader never takes half a set for a whole one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress

from tallow.formats.mapping import _flush_folder, _text, unusable


def replace_files(
    files: Iterable[tuple[str | os.PathLike[str], Iterable[bytes | memoryview]]],
) -> None:
    """Write several files of one folder; the first is the one by which the set is opened.

    All are written and flushed beside their places first. Then an older first file is removed, and
    all are renamed, the first one last: at any moment the first file is absent, or all that stands
    beside it is of the same set. Files of an older set with other names stay.

    Raises:
        FormatError: the folder is missing or read-only, or the disk is full.
    """
    waiting: list[tuple[str, str]] = []
    place = ""
    try:
        for path, chunks in files:
            place = _text(path)
            folder = os.path.dirname(place) or "."
            beside = os.path.join(folder, f".tallow-{secrets.token_hex(8)}.tmp")
            waiting.append((beside, place))
            _write(beside, chunks)
        if waiting:
            _rename(waiting)
    except OSError as error:
        raise unusable(place, "a file that can be written", error) from error
    finally:
        for beside, _ in waiting:
            with suppress(OSError):
                os.unlink(beside)


def _write(path: str, chunks: Iterable[bytes | memoryview]) -> None:
    with open(path, "xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _rename(waiting: list[tuple[str, str]]) -> None:
    first = waiting[0][1]
    folder = os.path.dirname(first) or "."
    with suppress(FileNotFoundError):
        os.unlink(first)
        _flush_folder(folder)
    for beside, place in reversed(waiting[1:]):
        os.replace(beside, place)
    _flush_folder(folder)
    os.replace(*waiting[0])
    _flush_folder(folder)
