"""A run of `tallow translate` or `summarize`: documents to texts, printed or in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import items
from tallow.cli.items import Failures, NamedItem
from tallow.cli.parameters import Argument, Option
from tallow.cli.table_targets import stems
from tallow.cli.writing import check_writable, note, refuse_existing, written

if TYPE_CHECKING:
    from tallow.tasks.batches import Outcome

Inputs = Annotated[
    list[str],
    Argument("TEXT...", "Texts, files of a document each, .jsonl, folders, globs, or - (a pipe)."),
]
Output = Annotated[
    str | None,
    Option(
        "A file; with .jsonl at its end JSON lines, with / a folder, with a file for each input.",
        short="-o",
        metavar="OUT",
        absent="print the texts",
    ),
]
Resume = Annotated[bool, Option("Go on with a run to a folder or to JSON lines.")]
Stream = Callable[[Iterator[Any]], "Iterator[Outcome[Any, Any]]"]


class TextJob:
    """Where the texts of a command go: `check` before a model is loaded, then `run`."""

    def __init__(self, what: str, output: str | None, *, resume: bool, force: bool) -> None:
        self.what, self.output, self.resume, self.force = what, output, resume, force
        self.lines = output is not None and output.endswith(".jsonl")
        self.folder = output is not None and (output.endswith("/") or os.path.isdir(output))
        self._check()

    def _check(self) -> None:
        """Raise what does not go together, or cannot be written."""
        from tallow.cli.errors import UsageError

        if self.lines:
            items.check_output(self.output, self.resume, self.force)
        elif self.resume and not self.folder:
            raise UsageError("--resume: expected --output with / or .jsonl at its end")
        elif self.output is not None and not self.folder:
            refuse_existing(self.output, self.force)
            check_writable(self.output)

    def run(self, words: Sequence[str], stream: Stream, *, by_line: bool = False) -> None:
        """Read, compute and write everything; in JSON lines, `by_line`, each line of a file.

        Raises:
            ArgumentError: some items failed; what the others gave is written.
        """
        if self.lines:
            find = items.find_texts if by_line else items.find_whole_texts
            items.run(
                find(words, self.output), stream, lambda item, text: {"id": item.id, "text": text},
                what=self.what, output=self.output, resume=self.resume, force=self.force,
            )  # fmt: skip
            return
        found = list(items.find_whole_texts(words, self.output))
        failures = Failures(self.what, len(found))
        ready = failures.sound(found)
        if self.folder:
            self._into_folder(ready, stream, failures)
        else:
            self._as_one(ready, stream, failures)
        failures.tell()

    def _as_one(self, ready: list[NamedItem], stream: Stream, failures: Failures) -> None:
        texts = []
        for _, text in self._texts(ready, stream, failures):
            texts.append(text)
            if self.output is None:
                print(text, flush=True)
        if self.output is not None and texts:
            _write(self.output, "\n".join(texts) + "\n")

    def _into_folder(self, ready: list[NamedItem], stream: Stream, failures: Failures) -> None:
        assert self.output is not None
        with written(self.output):
            os.makedirs(self.output, exist_ok=True)
        targets = {}
        for item, stem in zip(ready, stems([each.id for each in ready], False), strict=True):
            path = os.path.join(self.output, f"{stem}.txt")
            if self.resume and os.path.isfile(path):
                continue
            refuse_existing(path, self.force)
            targets[item] = path
        if len(targets) < len(ready):
            note(f"{len(ready) - len(targets)} items are there already")
        for item, text in self._texts(list(targets), stream, failures):
            _write(targets[item], text + "\n")

    def _texts(
        self, ready: list[NamedItem], stream: Stream, failures: Failures
    ) -> Iterator[tuple[NamedItem, str]]:
        """Each item that did not fail with its text, as they are done, with a bar."""
        with items.bar(self.what, self.output) as tell:
            tell(0, len(ready))
            outcomes = stream(item.value for item in ready)
            for count, (item, outcome) in enumerate(zip(ready, outcomes, strict=True), 1):
                if outcome.error is not None:
                    failures.add(item, outcome.error)
                else:
                    yield item, str(outcome.result)
                tell(count, len(ready))


def _write(path: str, text: str) -> None:
    """A text as a whole file, or none."""
    from tallow.formats.replacing import Replacement, cleaned_at_signals

    with written(path), cleaned_at_signals():
        file = Replacement(path)
        try:
            file.write(text.encode("utf-8", "replace"))
            file.finish()
            file.commit()
        finally:
            file.discard()
