"""What is known of a job's files: their state, and what was read, as JSON's types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tallow.lazy_dataclasses import dataclass, field
from tallow.serve.table.limits import Limits, megabytes
from tallow.serve.table.tables import checked_table

_RESULT_BYTES = 30_000_000  # 100,000 cells


@dataclass(eq=False)
class File:
    """A file of a job: `state` is waiting, reading, done, password (is needed) or error."""

    number: int
    name: str
    path: Path
    size: int
    state: str = "waiting"
    error: str = ""
    password: str | None = field(default=None, repr=False)
    pages: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """What the page gets of it."""
        names = ("number", "name", "size", "state", "error", "pages", "tables")
        return {name: getattr(self, name) for name in names}


def take_result(file: File, folder: Path, limits: Limits) -> None:
    """Read what the process of a job wrote of a file, and check its shape.

    Raises:
        ValueError, TypeError, KeyError, OSError: it is not of that shape.
    """
    path = folder / f"result-{file.number}.json"
    if path.stat().st_size > _RESULT_BYTES:
        raise ValueError(f"it is larger than {megabytes(_RESULT_BYTES)}")
    found = json.loads(path.read_bytes())
    path.unlink()
    file.pages = [_page(each) for each in found["pages"]]
    file.tables = [checked_table(each, limits.cells, read=True) for each in found["tables"]]


def _page(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": int(given["number"]),
        "width": float(given["width"]),
        "height": float(given["height"]),
        "picture": bool(given["picture"]),
        "turn": int(given["turn"]),
        "skew": float(given["skew"]),
        "source": str(given["source"])[:40],
        "error": str(given["error"])[:1000],
        "tables": int(given["tables"]),
    }
