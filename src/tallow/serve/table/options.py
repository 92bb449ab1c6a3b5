"""What a user of the page may choose for a job, and what makes the reader of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from tallow.lazy_dataclasses import dataclass
from tallow.serve.table.refusals import RefusalError

_PAGES = re.compile(r"\d{1,5}(-\d{0,5})?(,\d{1,5}(-\d{0,5})?){0,99}")


@dataclass(frozen=True)
class Options:
    """Options of a job.

    `pages` are those to read of PDFs and TIFFs, as "1-3,7" ("": all), `models` is "fast" or "best",
    `join` says whether tables that go on over pages become one, `raw` keeps values as text.
    """

    pages: str = ""
    models: str = ""
    join: bool = True
    raw: bool = False


Factory: TypeAlias = Callable[[Options], Any]
"""Makes what reads documents: its `read(path, name=…, pages=…, password=…, …)` is that of
`tallow.documents.TableReader`. It is called in the process of a job, and so found by its name."""


def read_options(text: str) -> Options:
    """The options of an upload, from JSON ("": the defaults).

    Raises:
        RefusalError: they are no JSON, or hold something unknown (400).
    """
    try:
        given = json.loads(text) if text.strip() else {}
    except ValueError:
        raise RefusalError(400, "The options are no JSON.") from None
    if not isinstance(given, dict):
        raise RefusalError(400, "The options are no JSON object.")
    checks: dict[str, Callable[[Any], bool]] = {
        "pages": lambda v: isinstance(v, str) and (not v or _PAGES.fullmatch(v) is not None),
        "models": lambda v: v in ("", "fast", "best"),
        "join": lambda v: isinstance(v, bool),
        "raw": lambda v: isinstance(v, bool),
    }
    if "pages" in given and isinstance(given["pages"], str):
        given["pages"] = given["pages"].replace(" ", "").replace("–", "-")
    for name, value in given.items():
        if name not in checks:
            raise RefusalError(400, f"There is no option {name[:40]!r}.")
        if not checks[name](value):
            raise RefusalError(400, f"The option {name!r} has no such value: {str(value)[:40]!r}.")
    return Options(**given)
