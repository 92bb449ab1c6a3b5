"""What commands over many items share: finding them, JSON lines, failures at the end, resuming."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

from tallow.cli.parameters import Argument, Option
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.errors import TallowError
    from tallow.tasks.batches import Outcome

PICTURES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".ico", ".heic", ".heif"),
    )
)
DOCUMENTS = PICTURES | {".pdf"}
TEXTS = frozenset((".txt", ".md", ".jsonl", ".tsv"))

_FORMS = "files of a text a line, .jsonl, folders, globs, or - for a pipe."
Texts = Annotated[list[str], Argument("TEXT...", f"Texts, {_FORMS}")]
Inputs = Annotated[list[str], Argument("INPUT...", f"Texts, {_FORMS} Or pictures, as MODEL takes.")]
Pictures = Annotated[
    list[str], Argument("PICTURE...", "Files, folders, globs, or - for a list of paths.")
]
Documents = Annotated[
    list[str], Argument("INPUT...", "Pictures, PDFs, folders, globs, or - for a file in a pipe.")
]
Output = Annotated[
    str | None, Option("Write JSON lines there.", short="-o", metavar="FILE", absent="print them")
]
Resume = Annotated[bool, Option("Go on with the file of --output, leaving out what it has.")]
BatchSize = Annotated[
    int | None, Option("Items a pass.", min=1, max=4096, absent="as fits the model")
]


@dataclass(frozen=True)
class NamedItem:
    """An item and what it is called in the output: a path, a path with a line, or the text.

    `error` says why there is no value.
    """

    id: str
    value: Any = None
    error: TallowError | None = None


def find_texts(words: Sequence[str], output: str | None = None) -> Iterator[NamedItem]:
    """The texts of a command line: of files each line, of others the word itself.

    What cannot be read is an item with an error. Folders and globs may hold `output`, which is no
    item.

    Raises:
        ArgumentError: `output` is named as an input.
    """
    for word in words:
        if word == "-":
            yield from _lines("-")
            continue
        for path in _paths(word, TEXTS, output):
            if isinstance(path, NamedItem):
                yield path
            else:
                yield from _lines(str(path))


def find_whole_texts(words: Sequence[str], output: str | None = None) -> Iterator[NamedItem]:
    """The texts of a command line: of files all of them, of .jsonl each row, else the word itself.

    What cannot be read is an item with an error.

    Raises:
        ArgumentError: `output` is named as an input.
    """
    for word in words:
        for path in ["-"] if word == "-" else _paths(word, TEXTS, output):
            if isinstance(path, NamedItem):
                yield path
            elif str(path).endswith(".jsonl"):
                yield from _lines(str(path))
            else:
                yield _whole(str(path))


def _whole(name: str) -> NamedItem:
    from tallow.cli.options import read_text
    from tallow.errors import TallowError

    try:
        text = read_text(name, "TEXT").removeprefix("\ufeff")
    except TallowError as error:
        return NamedItem(name, error=error)
    return NamedItem(name, text.replace("\r\n", "\n").rstrip("\n"))


def find_pictures(words: Sequence[str], output: str | None = None) -> Iterator[NamedItem]:
    """The pictures of a command line; a word that is no file stays, to fail by its own name."""
    from tallow.cli.options import read_text
    from tallow.errors import TallowError

    for word in words:
        if word == "-":
            try:
                listed = read_text("-", "PICTURE").split("\n")
            except TallowError as error:
                yield NamedItem("-", error=error)
                continue
            paths = (line.removesuffix("\r") for line in listed)
            yield from find_pictures([path for path in paths if path and path != "-"], output)
            continue
        for path in _paths(word, PICTURES, output):
            yield path if isinstance(path, NamedItem) else NamedItem(str(path), str(path))


def find_documents(words: Sequence[str], output: str | None = None) -> list[NamedItem]:
    """The pictures and PDFs of a command line, in order; `-` is the bytes of a file in a pipe.

    A word that is no file stays, to fail by its own name. Of one file named twice the second is
    left out.
    """
    found: dict[str, NamedItem] = {}
    for word in words:
        if word == "-":
            found["-"] = NamedItem("-", sys.stdin.buffer.read())
            continue
        for path in _paths(word, DOCUMENTS, output):
            item = path if isinstance(path, NamedItem) else NamedItem(str(path), str(path))
            found.setdefault(item.id, item)
    return list(found.values())


def _paths(word: str, suffixes: frozenset[str], output: str | None) -> Iterator[Path | NamedItem]:
    """The files that a word means; where it means none, the word as an item."""
    from tallow.errors import ArgumentError

    path = Path(word)
    try:
        folder, exists = bool(word) and path.is_dir(), bool(word) and path.exists()
        every = path.rglob("*") if folder else map(Path, _globbed(word, exists))
        files = sorted(each for each in every if each.is_file())
    except (OSError, ValueError):  # a long text is no path
        folder, exists, files = False, False, []
    if folder:
        files = [each for each in files if each.suffix.lower() in suffixes]
    if exists and not folder:
        if output is not None and _same(path, output):
            raise ArgumentError(f"{output}: expected another file than an input")
        yield path
    elif files:
        yield from (each for each in files if output is None or not _same(each, output))
    elif folder:
        wanted = f"a folder with files of {', '.join(sorted(suffixes))}"
        yield NamedItem(word, error=ArgumentError(f"{word}: expected {wanted}, found none"))
    elif suffixes is TEXTS and _names_a_file(word):
        wanted = "a file (texts that look like one are read from -)"
        yield NamedItem(word, error=ArgumentError(f"{word}: expected {wanted}, found none"))
    else:
        yield NamedItem(word, word)


def _globbed(word: str, exists: bool) -> list[str]:
    magic = not exists and glob.has_magic(word)
    return glob.glob(word, recursive=True) if magic else []


def _names_a_file(word: str) -> bool:
    """Whether a word that no file has would rather be a file than a text."""
    marked = "/" in word or glob.has_magic(word) or not any(map(str.isspace, word))
    return marked and Path(word).suffix.lower() in TEXTS


def _same(path: Path, other: str) -> bool:
    return path.resolve() == Path(other).resolve()


def _lines(name: str) -> Iterator[NamedItem]:
    from tallow.cli.options import read_text
    from tallow.errors import ArgumentError, TallowError

    try:
        text = read_text(name, "TEXT").removeprefix("\ufeff")
    except TallowError as error:
        yield NamedItem(name, error=error)
        return
    # Not splitlines: JSON may hold U+2028, and texts form feeds.
    for number, line in enumerate(text.split("\n"), 1):
        line, place = line.removesuffix("\r"), f"{name}:{number}"
        if not line.strip():
            continue
        if not name.endswith(".jsonl"):
            yield NamedItem(place, line)
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            wrong = ArgumentError(f"{place}: expected JSON, got {line[:60]!r}")
            yield NamedItem(place, error=wrong)
            continue
        row = value if isinstance(value, dict) else {"text": value}
        own = row.get("id")
        yield NamedItem(place if own is None else str(own), row.get("text"))


def run(
    items: Iterator[NamedItem],
    stream: Callable[[Iterator[Any]], Iterator[Outcome[Any, Any]]],
    show: Callable[[NamedItem, Any], dict[str, Any]],
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
    from tallow.cli.output import json_line
    from tallow.cli.writing import note, written
    from tallow.errors import TallowError
    from tallow.tasks.batches import as_tallow_error

    done = _finished(output, resume, force)
    there = done.total()
    if there:
        note(f"{there} items are there already")
    waiting = list(_left(items, done))
    failures = Failures(what, len(waiting))
    ready = failures.sound(waiting)
    with opened(output, "a" if there else "w") as file, bar(what, output) as tell:
        tell(0, len(ready))
        outcomes = stream(item.value for item in ready)
        for count, (item, outcome) in enumerate(zip(ready, outcomes, strict=True), 1):
            try:
                if outcome.error is not None:
                    raise outcome.error
                line = json_line(show(item, outcome.result))
            except (TallowError, MemoryError) as error:
                failures.add(item, as_tallow_error(error))
            else:
                with written(output or "standard output"):
                    print(line, file=file, flush=True)
            tell(count, len(ready))
    failures.tell()


class Failures:
    """What failed of a command's items, for the end."""

    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count
        self.lines: list[str] = []
        self.failed = 0
        self._last = ""

    def add(self, item: NamedItem, error: TallowError) -> None:
        """Take one down, by the item's name."""
        self.failed += 1
        self._line(item, error)

    def add_page(self, item: NamedItem, error: TallowError) -> None:
        """Take down a page of an item; the item fails once, whatever its pages."""
        self.failed += item.id != self._last
        self._last = item.id
        self._line(item, error)

    def _line(self, item: NamedItem, error: TallowError) -> None:
        text = " ".join(str(error).split())
        name = "stdin" if item.id == "-" else item.id
        self.lines.append(text if text.startswith(name) else f"{name}: {text}")

    def sound(self, found: Iterable[NamedItem]) -> list[NamedItem]:
        """The items that have values; takes down the others."""
        kept = []
        for item in found:
            if item.error is None:
                kept.append(item)
            else:
                self.add(item, item.error)
        return kept

    def tell(self) -> None:
        """Print them.

        Raises:
            ArgumentError: there are some.
        """
        from tallow.cli.output import printable
        from tallow.errors import ArgumentError

        for line in self.lines:
            print(f"failed: {printable(line)}", file=sys.stderr)
        if self.lines:
            told = f"{self.failed} of {self.count} items failed"
            raise ArgumentError(f"{self.what}: {told}")


def bar(what: str, output: str | None) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar that counts items, unless it would stand between the results on a terminal."""
    from tallow.cli.output import is_terminal
    from tallow.cli.writing import steps

    if output is None and is_terminal():
        return nullcontext(lambda done, count: None)
    return steps(what)


def _left(items: Iterable[NamedItem], done: Counter[str]) -> Iterator[NamedItem]:
    """The items that the file has not; of two of one name it may have the first."""
    for item in items:
        if done[item.id]:
            done[item.id] -= 1
        else:
            yield item


def check_output(output: str | None, resume: bool, force: bool) -> None:
    """Raise now, before a model is loaded, what `run` would raise of the output."""
    _finished(output, resume, force, change=False)


def _finished(
    output: str | None, resume: bool, force: bool, *, change: bool = True
) -> Counter[str]:
    """The ids that the file has; a last line that was broken off is taken out of it."""
    from tallow.cli.errors import UsageError
    from tallow.cli.writing import check_writable, refuse_existing
    from tallow.errors import ArgumentError

    if output is None:
        if resume:
            raise UsageError("--resume: expected --output FILE")
        return Counter()
    path = Path(output)
    if not resume or not path.is_file():
        refuse_existing(output, force)
        check_writable(output)
        return Counter()
    check_writable(output)
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        found = Counter(str(json.loads(line)["id"]) for line in whole.split(b"\n") if line)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ArgumentError(f"{output}: expected JSON lines with an id, got others") from None
    if change and len(whole) < len(content):
        os.truncate(path, len(whole))
    return found


@contextmanager
def opened(output: str | None, mode: Literal["w", "a"] = "w") -> Iterator[TextIO]:
    """The file that results go to, or standard output."""
    from tallow.cli.writing import written

    if output is None:
        yield sys.stdout
        return
    with written(output):
        file = open(output, mode, encoding="utf-8")  # noqa: SIM115  # closed below
    try:
        yield file
    finally:
        with written(output):
            file.close()
