"""What commands over many items share: finding them, JSON lines, failures at the end, resuming."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.tasks.batches import Outcome

PICTURES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".ico"),
    )
)
TEXTS = frozenset((".txt", ".md", ".jsonl", ".tsv"))

Texts = Annotated[
    list[str], Argument("TEXT...", "Texts, files of a text a line, .jsonl, globs, folders, or -.")
]
Pictures = Annotated[
    list[str], Argument("PICTURE...", "Files, folders, globs, or - for a list of paths.")
]
Output = Annotated[
    str | None, Option("Write JSON lines there.", short="-o", metavar="FILE", absent="print them")
]
Resume = Annotated[bool, Option("Go on with the file of --output, leaving out what it has.")]
BatchSize = Annotated[
    int | None, Option("Items a pass.", min=1, max=4096, absent="as fits the model")
]


@dataclass(frozen=True)
class Named:
    """An item and what it is called in the output: a path, a path with a line, or the text."""

    id: str
    value: Any


def find_texts(words: Sequence[str]) -> Iterator[Named]:
    """The texts of a command line: of files each line, of others the word itself.

    Raises:
        ArgumentError: a glob that nothing matches, a file that cannot be read.
    """
    from tallow.cli.options import read_text

    for word in words:
        if word == "-":
            yield from _lines("-", read_text("-", "TEXT"))
            continue
        paths = list(_paths(word, TEXTS))
        if not paths:
            yield Named(word, word)
        for path in paths:
            yield from _lines(str(path), read_text(str(path), "TEXT"))


def find_pictures(words: Sequence[str]) -> Iterator[Named]:
    """The pictures of a command line; a word that is no file stays, to fail by its own name."""
    from tallow.cli.options import read_text

    for word in words:
        if word == "-":
            listed = read_text("-", "PICTURE").splitlines()
            yield from find_pictures([line for line in listed if line and line != "-"])
            continue
        paths = list(_paths(word, PICTURES))
        for path in paths or [Path(word)]:
            yield Named(str(path), str(path))


def _paths(word: str, suffixes: frozenset[str]) -> Iterator[Path]:
    from tallow.errors import ArgumentError

    path = Path(word)
    try:
        folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a long text is no path
        return
    if folder:
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        if not found:
            wanted = f"a folder with files of {', '.join(sorted(suffixes))}"
            raise ArgumentError(f"{word}: expected {wanted}, found none")
        yield from found
    elif exists:
        yield path
    elif glob.has_magic(word) and " " not in word:
        yield from map(Path, sorted(glob.glob(word, recursive=True)))


def _lines(name: str, text: str) -> Iterator[Named]:
    from tallow.errors import ArgumentError

    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        if not name.endswith(".jsonl"):
            yield Named(place, line)
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise ArgumentError(f"{place}: expected JSON, got {line[:60]!r}") from None
        if isinstance(value, dict):
            yield Named(str(value.get("id", place)), value.get("text"))
        else:
            yield Named(place, value)


def run(
    items: Iterator[Named],
    stream: Callable[[Iterator[Any]], Iterator[Outcome[Any, Any]]],
    show: Callable[[Named, Any], dict[str, Any]],
    *,
    what: str,
    output: str | None,
    resume: bool,
    force: bool,
) -> None:
    """A JSON line for each item, written as it is done; failures are told together at the end.

    Raises:
        ArgumentError: some items failed; the lines of the others are written.
    """
    from tallow.cli.writing import steps
    from tallow.errors import ArgumentError

    done = _finished(output, resume, force)
    waiting = [item for item in items if item.id not in done]
    if done:
        print(f"note: {len(done)} items are there already", file=sys.stderr)
    names, values = tee(waiting)
    failures: list[str] = []
    mode = "a" if done else "w"
    with _opened(output, mode) as file, steps(what) as tell:
        tell(0, len(waiting))
        outcomes = stream(item.value for item in values)
        for count, (item, outcome) in enumerate(zip(names, outcomes, strict=True), 1):
            if outcome.error is not None:
                text = str(outcome.error)
                failures.append(text if text.startswith(item.id) else f"{item.id}: {text}")
            else:
                print(json.dumps(show(item, outcome.result), ensure_ascii=False), file=file)
                file.flush()
            tell(count, len(waiting))
    if failures:
        shown = [" ".join(line.split()) for line in failures]
        for line in shown:
            print(f"failed: {line}", file=sys.stderr)
        raise ArgumentError(f"{what}: {len(failures)} of {len(waiting)} items failed")


def _finished(output: str | None, resume: bool, force: bool) -> set[str]:
    """The ids that the file has; a last line that was broken off is taken out of it."""
    from tallow.cli.errors import UsageError
    from tallow.cli.writing import refuse_existing
    from tallow.errors import ArgumentError

    if output is None:
        if resume:
            raise UsageError("--resume: expected --output FILE")
        return set()
    path = Path(output)
    if not resume or not path.exists():
        refuse_existing(output, force)
        return set()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        found = {str(json.loads(line)["id"]) for line in whole.splitlines()}
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ArgumentError(f"{output}: expected JSON lines with an id, got others") from None
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return found


def _opened(output: str | None, mode: str) -> Any:
    from contextlib import nullcontext

    if output is None:
        return nullcontext(sys.stdout)
    return open(output, mode, encoding="utf-8")
