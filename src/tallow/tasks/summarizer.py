"""Summarizer: short texts for long ones by BART, PEGASUS or T5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from tallow.tasks.base import as_text
from tallow.tasks.text_writer import Prepared, TextWriter, told_for


class Summarizer(TextWriter[str]):
    """A summarizer: `summarizer(texts)` gives a summary of each.

    A text that is longer than the model takes is cut between sentences, and the summaries of its
    parts stand one after the other. `prefix` is put before each part; None is what the checkpoint
    says, as T5 does.
    """

    task = "summarization"

    def __init__(self, *args: Any, prefix: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prefix = prefix

    def __call__(self, texts: str | Iterable[str], *, batch_size: int | None = None) -> Any:
        """The summary of each text; of a single text a string.

        Raises:
            BatchError: some texts failed; the others' summaries are kept in it.
        """
        return self.each(texts, batch_size)

    @cached_property
    def _told(self) -> Mapping[str, Any]:
        tasks = self.model.config_values.get("task_specific_params")
        found = tasks.get("summarization") if isinstance(tasks, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @property
    def prefix(self) -> str:
        """What is put before each part."""
        return str(self._told.get("prefix") or "") if self._prefix is None else self._prefix

    def wrapped(self, text: str) -> list[int]:
        """The ids of a text with what stands around it."""
        return super().wrapped(self.prefix + text)

    def prepare(self, item: str) -> Prepared:
        """The parts of a text."""
        found: Prepared = []
        for place, part in enumerate(
            self.sources(as_text(item, "summarize"), told_for(self._told))
        ):
            found += [self.joint, part] if place else [part]
        return found
