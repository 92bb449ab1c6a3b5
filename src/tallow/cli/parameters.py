"""What a command's parameters are, declared once: read directly, or shown and checked by Typer.

Typer costs 50 ms to import and, since it checks values by pydantic, 90 ms more to read a line: half
of what a small model needs to its first token. So `read` takes the lines that are plainly right,
and Typer answers all others: help, mistakes, and spellings that `read` does not know.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

_NUMBERS = {int: re.compile(r"\d{1,18}"), float: re.compile(r"\d+\.?\d*|\.\d+")}


@dataclass(frozen=True)
class Argument:
    """A value that stands without a name, `metavar` in the help."""

    metavar: str
    help: str


@dataclass(frozen=True)
class Option:
    """A named value; the name is the parameter's, `short` one more; `absent` describes None."""

    help: str
    short: str | None = None
    min: float | None = None
    max: float | None = None
    metavar: str | None = None
    absent: str | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a command: `kind` is its type without None and `list`."""

    name: str
    kind: type
    many: bool
    row: Argument | Option
    required: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """How a command line names it."""
        if isinstance(self.row, Argument):
            return ()
        long = "--" + self.name.replace("_", "-")
        return (long, self.row.short) if self.row.short else (long,)


def parameters(command: Callable[..., None]) -> Iterator[Parameter]:
    """The parameters of a command, from its annotations."""
    declared = inspect.signature(command).parameters
    for name, hint in get_type_hints(command, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, row = get_args(hint)
            parts = (kind,) if get_origin(kind) is list else get_args(kind) or (kind,)
            kinds = [part for part in parts if part is not NoneType]
            many = get_origin(kinds[0]) is list
            kind = get_args(kinds[0])[0] if many else kinds[0]
            required = declared[name].default is inspect.Parameter.empty
            yield Parameter(name, kind, many, row, required)


def read(command: Callable[..., None], line: list[str]) -> dict[str, Any] | None:
    """The values that `line` gives to `command`; None where Typer has to answer."""
    rows = list(parameters(command))
    by_flag = {flag: row for row in rows for flag in row.flags}
    places = [row for row in rows if isinstance(row.row, Argument)]
    values: dict[str, Any] = {}
    words = iter(line)
    for word in words:
        if not word.startswith("-") or (word == "-" and places):
            if not places:
                return None
            place = places[0] if places[0].many else places.pop(0)
            values[place.name] = [*values.get(place.name, ()), word] if place.many else word
            continue
        flag, equals, text = word.partition("=")
        row = by_flag.get(flag)
        if row is None or (equals and (row.kind is bool or not flag.startswith("--"))):
            return None
        if row.kind is bool:
            values[row.name] = True
            continue
        value = _value(row, text if equals else next(words, "--"), dashes=bool(equals))
        if value is None:
            return None
        values[row.name] = [*values.get(row.name, ()), value] if row.many else value
    lacking = any(row.required and row.name not in values for row in rows)
    return None if lacking else values


def _value(row: Parameter, text: str, *, dashes: bool) -> Any:
    """`text` as the parameter wants it; None where that is not plain."""
    if text.startswith("-") and text != "-" and not dashes:
        return None
    if row.kind is str:
        return text
    if issubclass(row.kind, StrEnum):
        return row.kind(text) if text in list(row.kind) else None
    if not _NUMBERS[row.kind].fullmatch(text):
        return None
    value = int(text) if row.kind is int else float(text)
    option = row.row
    assert isinstance(option, Option)
    low = option.min is None or value >= option.min
    return value if low and (option.max is None or value <= option.max) else None
