"""A run of `tallow transcribe`: each file written as a whole or not at all, what is there left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallow.cli.items import Failures, NamedItem
from tallow.cli.writing import check_writable, note, refuse_existing, steps, written
from tallow.errors import ArgumentError, TallowError

if TYPE_CHECKING:
    from tallow.tasks import Transcriber, Transcription

_SOUNDS: Final = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64",
)  # fmt: skip
_FORMATS: Final = ("txt", "srt", "vtt", "json", "tsv")


class TranscribeJob:
    """Transcribes files to `output`: nothing (printed), a file, or a folder with one for each.

    Raises:
        UsageError: the options do not go together.
        ArgumentError: the output is there already, or cannot be written.
    """

    def __init__(
        self, output: str | None, format: str | None, *, resume: bool, force: bool
    ) -> None:
        from tallow.cli.errors import UsageError

        self.output, self.resume, self.force = output, resume, force
        self.folder = output is not None and (output.endswith("/") or os.path.isdir(output))
        self.format = format or self._by_name()
        if resume and not self.folder:
            raise UsageError("--resume: expected -o FOLDER/")
        if output is not None and not self.folder:
            refuse_existing(output, force)
            check_writable(output)

    def _by_name(self) -> str:
        from tallow.cli.errors import UsageError

        if self.output is None or self.folder:
            return "txt"
        suffix = Path(self.output).suffix.lower().removeprefix(".")
        if suffix not in _FORMATS:
            wanted = ", ".join(f".{each}" for each in _FORMATS)
            raise UsageError(f"{self.output}: expected a name that ends in {wanted}, or --format")
        return suffix

    def run(
        self,
        words: Sequence[str],
        model: str,
        options: Mapping[str, Any],
        dtype: str | None = None,
    ) -> None:
        """Transcribe everything, with weights as in the file or rounded to `dtype`.

        Raises:
            UsageError: several files and one output.
            ArgumentError: some files failed; what came of the others is written.
        """
        from tallow.cli.errors import UsageError
        from tallow.tasks import Transcriber

        found = list(_sounds(words))
        if self.output is not None and not self.folder and len(found) > 1:
            raise UsageError(f"{self.output}: expected one FILE, or a folder for several")
        failures = Failures("transcribe", len(found))
        ready = failures.sound(found)
        targets = self._targets(ready)
        left = [
            (item, target)
            for item, target in zip(ready, targets, strict=True)
            if not (self.resume and target is not None and os.path.isfile(target))
        ]
        if len(left) < len(ready):
            note(f"{len(ready) - len(left)} files are there already")
        owner = Transcriber(model, dtype=dtype) if left else None
        for item, target in left:
            assert owner is not None
            try:
                self._write(item, _transcribed(owner, item, options), target, many=len(found) > 1)
            except TallowError as error:
                if len(found) == 1:
                    raise
                failures.add(item, error)
        failures.tell()

    def _targets(self, ready: Sequence[NamedItem]) -> list[str | None]:
        """Where each file's text goes, in the folder or the one file; None where it is printed."""
        from tallow.cli.table_targets import stems

        if not self.folder:
            return [self.output] * len(ready)
        assert self.output is not None
        with written(self.output):
            os.makedirs(self.output, exist_ok=True)
        made: list[str | None] = []
        for stem in stems([item.id for item in ready], split=False):
            target = os.path.join(self.output, f"{stem}.{self.format}")
            if not self.resume:
                refuse_existing(target, self.force)
            made.append(target)
        return made

    def _write(
        self, item: NamedItem, made: Transcription, target: str | None, *, many: bool
    ) -> None:
        from tallow.cli.output import printable
        from tallow.formats.replacing import Replacement, cleaned_at_signals

        text = made.to_text(self.format)
        if target is None:
            if many:
                print(f"{printable(item.id)}:")
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        with written(target), cleaned_at_signals():
            file = Replacement(target)
            try:
                file.write(text.encode())
                file.finish()
                file.commit()
            finally:
                file.discard()
        note(f"{target}: {len(made.segments)} segments, {made.duration:.1f} s")


def _transcribed(owner: Transcriber, item: NamedItem, options: Mapping[str, Any]) -> Transcription:
    from tallow.cli.output import shortened

    with steps(shortened(os.path.basename(item.id), 40)) as tell:
        found: Transcription = owner.transcribe(
            item.value,
            **options,
            progress=lambda done, whole: tell(round(done), round(whole), "seconds"),
        )
    return found


def _sounds(words: Sequence[str]) -> Iterator[NamedItem]:
    """Files as they are named, those of folders, and what stands on standard input."""
    for word in words:
        if word == "-":
            if sys.stdin is None:
                raise ArgumentError("-: expected standard input, got none")
            yield NamedItem("-", sys.stdin.buffer.read())
        elif os.path.isdir(word):
            paths = sorted(p for p in Path(word).iterdir() if p.suffix.lower() in _SOUNDS)
            if not paths:
                wanted = "a folder with files of sound"
                yield NamedItem(word, error=ArgumentError(f"{word}: expected {wanted}, got none"))
            yield from (NamedItem(str(path), path) for path in paths)
        else:
            yield NamedItem(word, Path(word))
