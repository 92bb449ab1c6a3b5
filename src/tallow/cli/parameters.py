"""What a command's parameters are, declared once in its signature and read by argparse.

argparse takes no value that begins with a dash and reads each run of values that stand alone by
itself; so `arranged` brings a line into the order and spelling in which it knows what is what.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Final, NoReturn, get_args, get_origin, get_type_hints

from tallow.lazy_dataclasses import dataclass

REQUIRED: Final = object()
"""The default of what a command line must give."""

_NAMES = {str: "text", int: "integer", float: "number"}


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
    kind: Any  # str, int, float, bool or a StrEnum
    many: bool
    row: Argument | Option
    default: Any

    @property
    def required(self) -> bool:
        """Whether the line must give it."""
        return self.default is REQUIRED

    @property
    def flags(self) -> tuple[str, ...]:
        """How a command line names it."""
        if isinstance(self.row, Argument):
            return ()
        long = "--" + self.name.replace("_", "-")
        return (long, self.row.short) if self.row.short else (long,)

    @property
    def metavar(self) -> str:
        """What stands for a value in the help: of an option the values that it takes."""
        if self.row.metavar is not None or self.kind is bool:
            return self.row.metavar or ""
        if issubclass(self.kind, StrEnum):
            return "|".join(self.kind)
        return f"{_NAMES[self.kind]} {self.bounds}".rstrip()

    @property
    def bounds(self) -> str:
        """The numbers that are taken: `x>=1`, `0<=x<=1`."""
        low, high = getattr(self.row, "min", None), getattr(self.row, "max", None)
        if high is None:
            return "" if low is None else f"x>={low}"
        return f"x<={high}" if low is None else f"{low}<=x<={high}"

    def value(self, text: str) -> Any:
        """`text` as the parameter wants it."""
        if issubclass(self.kind, StrEnum):
            try:
                return self.kind(text)
            except ValueError:
                self._refuse(f"one of {', '.join(self.kind)}", text)
        if self.kind is str:
            return text
        try:
            number = self.kind(text)
        except ValueError:
            self._refuse(f"an {_NAMES[int]}" if self.kind is int else f"a {_NAMES[float]}", text)
        low, high = getattr(self.row, "min", None), getattr(self.row, "max", None)
        if not (low is None or number >= low) or not (high is None or number <= high):
            self._refuse(self.bounds, text)
        return number

    def _refuse(self, wanted: str, text: str) -> NoReturn:
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")


def parameters(command: Callable[..., None]) -> Iterator[Parameter]:
    """The parameters of a command, from its annotations."""
    inner = getattr(command, "__wrapped__", command)
    code, given = inner.__code__, inner.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(names), reversed(given), strict=False))
    defaults |= inner.__kwdefaults__ or {}
    for name, hint in get_type_hints(command, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, row = get_args(hint)
            parts = (kind,) if get_origin(kind) is list else get_args(kind) or (kind,)
            kinds = [part for part in parts if part is not NoneType]
            many = get_origin(kinds[0]) is list
            kind = get_args(kinds[0])[0] if many else kinds[0]
            yield Parameter(name, kind, many, row, defaults.get(name, REQUIRED))


def declare(parser: argparse.ArgumentParser, rows: Sequence[Parameter]) -> None:
    """Tell argparse of a command's parameters; those without a default must be given."""
    for row in rows:
        rest: dict[str, Any] = {"default": row.default}
        if isinstance(row.row, Argument):
            nargs = ("*", "+")[row.required] if row.many else ("?", None)[row.required]
            parser.add_argument(
                row.name, metavar=row.metavar, type=row.value, nargs=nargs, default=row.default
            )
            continue
        if row.required:
            rest = {"required": True}
        if row.kind is bool:
            parser.add_argument(*row.flags, dest=row.name, action="store_true")
            continue
        action = "append" if row.many else "store"
        parser.add_argument(*row.flags, dest=row.name, type=row.value, action=action, **rest)


def arranged(rows: Sequence[Parameter], line: Sequence[str]) -> list[str]:
    """The words of `line`: options first, each with its value in one word, then `--` and values."""
    valued = {flag: row.flags[0] for row in rows if row.kind is not bool for flag in row.flags}
    options: list[str] = []
    places: list[str] = []
    words = iter(line)
    for word in words:
        flag, equals, value = word.partition("=")
        if word == "--":
            places += words
        elif word == "-" or not word.startswith("-"):
            places.append(word)
        elif flag not in valued:
            options.append(word)
        else:
            value = value if equals else next(words, "--")
            # A lone `--` is no value: before Python 3.13 argparse would make an empty list of it.
            options.append(valued[flag] if value == "--" else f"{valued[flag]}={value}")
    return [*options, "--", *places]
