"""What the commands that write files share: refusing to overwrite, sizes, notes, a progress bar."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallow.hub import Progress


def progress() -> Progress:
    """A bar on standard error where that is a terminal and rich is installed, else nothing."""
    from tallow.hub import Silent
    from tallow.hub.progress import Bar, default_progress

    shown = default_progress()
    return shown if isinstance(shown, Bar) else Silent()


@contextmanager
def steps(description: str) -> Iterator[Callable[..., None]]:
    """A bar that counts: the body is given a function of how many steps are done, and of how many.

    A third value, a text, says what is being done. Nothing is shown where `progress` shows nothing.
    """
    from tallow.hub import Silent

    if isinstance(progress(), Silent):
        yield lambda done, count, doing="": None
        return
    import rich.progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[doing]}", markup=False),
    )
    # What is printed meanwhile stays where it belongs: standard output may go elsewhere.
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, redirect_stdout=False) as bar:
        task = bar.add_task(description, total=None, doing="")
        yield lambda done, count, doing="": bar.update(
            task, completed=done, total=count, doing=doing
        )


def note(text: str) -> None:
    """A line on standard error for what a user should know and no program reads."""
    from tallow.cli.output import printable

    print(f"note: {printable(text)}", file=sys.stderr, flush=True)


def tell_losses(losses: Iterable[str], *, strict: bool) -> None:
    """A note for each loss; with `strict` one error for all, before anything is written."""
    from tallow.errors import ModelError

    found = list(dict.fromkeys(losses))
    if strict and found:
        raise ModelError("--strict: expected nothing to be lost, found " + "; ".join(found))
    for loss in found:
        note(loss)


def refuse_existing(path: str, force: bool) -> None:
    """Refuse to overwrite, unless that is wanted; a folder is never overwritten."""
    from tallow.errors import ArgumentError

    if path == "-":
        wanted = "the name of a file (/dev/stdout is standard output)"
        raise ArgumentError(f"-: expected {wanted}, got '-'")
    if os.path.isdir(path):
        raise ArgumentError(f"{path}: expected the name of a file to write, got a folder")
    if not force and os.path.lexists(path) and not is_stream(path):
        raise ArgumentError(f"{path}: expected no such file, found one; --force overwrites it")


def check_writable(path: str) -> None:
    """Refuse a path that cannot be written, before anything is computed for it."""
    from tallow.errors import ArgumentError

    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ArgumentError(f"{path}: expected a file in a folder that is there, found no {folder}")
    if not os.access(path if os.path.lexists(path) else folder, os.W_OK):
        raise ArgumentError(f"{path}: expected a file that can be written, found no permission")


@contextmanager
def written(path: object) -> Iterator[None]:
    """What goes wrong in writing to a path, as an error that names it."""
    from tallow.errors import ArgumentError

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise ArgumentError(f"{path}: expected a file that can be written, got: {why}") from error


def is_stream(path: str) -> bool:
    """Whether what is written there overwrites nothing: a pipe, a terminal, `/dev/null`."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def refuse_existing_shards(path: str, force: bool) -> None:
    """Refuse to overwrite any part of a set of shards of this name, unless that is wanted."""
    import glob

    from tallow.errors import ArgumentError

    stem, suffix = os.path.splitext(glob.escape(path))
    number = "[0-9]" * 5
    found = sorted(glob.glob(f"{stem}-{number}-of-{number}{suffix}"))
    found += glob.glob(f"{stem}*.index.json")
    if found and not force:
        raise ArgumentError(f"{found[0]}: expected no shards, found this; --force overwrites them")


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def byte_count(text: str | None) -> int | None:
    """`5GB`, `800MB`, `1.5G` or a plain number of bytes; units are powers of 1000."""
    from tallow.cli.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?", text.lower())
    count = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if count < 1:
        raise UsageError(f"size: expected a number with kB, MB, GB or TB, got {text!r}")
    return count
