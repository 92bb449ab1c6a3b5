"""A journal of pages that were read: a JSON line each, so that a long job goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from tallow.documents.content import Word
from tallow.documents.document import Cell, ColumnType, Page, Table, as_dict
from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import field_names

Made = TypeVar("Made")

VERSION = 1
_PARTS: dict[tuple[type, str], type] = {
    (Page, "tables"): Table,
    (Page, "words"): Word,
    (Table, "cells"): Cell,
    (Table, "column_types"): ColumnType,
    (Cell, "words"): Word,
}


class Journal:
    """The pages of a job, kept beside its output until that is written.

    `options` are what the pages depend on: a journal of others is not gone on with. `keep` tells
    whether pages of an earlier run are taken over (`resume`).

    Raises:
        ArgumentError: the file is no journal, or one of other inputs or options.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self._head = {"journal": VERSION, **options}
        self._places: dict[tuple[str, int], int] = {}
        whole = self._read() if resume and path.is_file() else 0
        self._file = path.open("r+b" if whole else "w+b")
        if whole:
            self._file.truncate(whole)  # a last line that was broken off
            self._file.seek(0, os.SEEK_END)
        else:
            self._write(self._head)

    def __len__(self) -> int:
        return len(self._places)

    def has(self, name: str, number: int) -> bool:
        """Whether a page of a file is there."""
        return (name, number) in self._places

    def add(self, name: str, page: Page) -> None:
        """Take a page down; it is on disk when this returns."""
        at = self._file.tell()
        self._write({"input": name, "page": as_dict(page)})
        self._places[name, page.number] = at

    def pages(self, name: str) -> Iterator[Page]:
        """The pages of a file in their order, read one by one."""
        places = sorted((n, at) for (owner, n), at in self._places.items() if owner == name)
        end = self._file.tell()
        for _, at in places:
            self._file.seek(at)
            yield made(Page, json.loads(self._file.readline())["page"])
        self._file.seek(end)

    def close(self, *, remove: bool) -> None:
        """Close the file; `remove` when its job is done."""
        with suppress(OSError):  # of a full disk, which the last write told already
            self._file.close()
        if remove:
            with suppress(OSError):
                self.path.unlink()

    def _write(self, value: Any) -> None:
        # Names of files may hold bytes that are no UTF-8, which are escaped.
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()

    def _read(self) -> int:
        """Take over what the file has; gives how many bytes of it are whole lines."""
        at = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    value = json.loads(line)
                    if at == 0:
                        self._check(value)
                    else:
                        made(Page, value["page"])
                        self._places[str(value["input"]), int(value["page"]["number"])] = at
                except ArgumentError:
                    raise
                except (ValueError, KeyError, TypeError, RecursionError):
                    raise ArgumentError(
                        f"{self.path}: expected pages of an interrupted run, got something else; "
                        "remove it, or run without --resume"
                    ) from None
                at += len(line)
        return at

    def _check(self, head: Any) -> None:
        if not isinstance(head, dict) or "journal" not in head:
            raise ValueError
        other = [key for key, value in self._head.items() if head.get(key) != value]
        if other:
            raise ArgumentError(
                f"{self.path}: expected the run that was interrupted, got other "
                f"{', '.join(other)}; run without --resume"
            )


def made(kind: type[Made], value: Mapping[str, Any]) -> Made:
    """An instance of a dataclass of documents from what `as_dict` made of it.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    unknown = value.keys() - set(field_names(kind))
    if unknown:
        raise KeyError(*unknown)
    key: Any = kind
    hints = _hints(key)
    return kind(**{name: _part(kind, name, hints[name], each) for name, each in value.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _part(kind: type, name: str, hint: Any, value: Any) -> Any:
    inner = _PARTS.get((kind, name))
    if inner is not None:
        listed: list[Any] = [made(inner, each) for each in value]
        return tuple(listed) if "tuple" in str(hint) else listed
    return _tuples(value) if isinstance(value, list) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
