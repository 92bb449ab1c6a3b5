"""Write the files of one set so that a reader never takes half a set for a whole one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from tallow.formats.mapping import path_text, unusable
from tallow.formats.replacing import Replacement, cleaned_at_signals, flush_folder


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
    made: list[Replacement] = []
    place = ""
    try:
        with cleaned_at_signals():
            for path, chunks in files:
                place = path_text(path)
                made.append(Replacement(place))
                for chunk in chunks:
                    made[-1].write(chunk)
                made[-1].finish()
            if made:
                _rename(made)
    except OSError as error:
        raise unusable(place, "a file that can be written", error) from error
    finally:
        for each in made:
            each.discard()


def _rename(made: list[Replacement]) -> None:
    first = made[0]
    folder = os.path.dirname(first.place) or "."
    if first.beside is not None:
        with suppress(FileNotFoundError):
            os.unlink(first.place)
            flush_folder(folder)
    for each in reversed(made[1:]):
        each.commit()
    flush_folder(folder)
    first.commit()
    flush_folder(folder)
