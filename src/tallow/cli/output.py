"""What commands share for output: safe text, tables for pipes and terminals, JSON, a console."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 100_000  # columns: a table in a pipe is for programs, it must not be folded


def printable(text: str) -> str:
    """`text` with control characters and lone surrogates as escapes: a file may be hostile."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, limit: int) -> str:
    """`printable(text)` cut to `limit` characters."""
    return printable(text if len(text) <= limit else text[: limit - 1] + "…")


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def dimmed(text: str) -> str:
    """`text` in the terminal's faint style, plain where colours are not wanted."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[2m{text}\x1b[0m"


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty rich table; the columns in `right` are numbers. Long text folds, nothing is cut."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD if is_terminal() else None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_table(made: Table) -> None:
    """Print a table: folded to the terminal, in a pipe as wide as it is and without blank ends."""
    from rich.console import Console

    if is_terminal():
        Console(highlight=False, markup=False).print(made)
        return
    wide = Console(highlight=False, markup=False, width=PIPE_WIDTH, color_system=None)
    with wide.capture() as captured:
        wide.print(made)
    for line in captured.get().splitlines():
        print(line.rstrip())


def print_json(value: Any) -> None:
    """Print one JSON document in one line, valid whatever the values.

    nan, inf, keys that are no text and what JSON has no form for become text, sets lists.
    """
    print(json_line(value, ascii_only=True))


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """A JSON document in one line, valid whatever the values; text as it is, if UTF-8 has it."""
    import json

    finite = _finite(value)
    made = json.dumps(finite, allow_nan=False, default=str, ensure_ascii=ascii_only)
    try:
        made.encode()
    except UnicodeEncodeError:  # names of files may hold bytes that are no text
        return json.dumps(finite, allow_nan=False, default=str)
    return made


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(key): _finite(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(item) for item in value]
    return value
