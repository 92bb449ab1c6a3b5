"""The `tallow` command: one thin file per command, imported only when that command is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

COMMANDS = ("chat", "generate", "inspect", "pull", "models", "bench")
"""Each is a function of the same name in the module of the same name, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code.

    0 is success, 1 an error, told in one line on standard error, 2 a wrong command line, and 130
    Ctrl-C. `--debug`, before or after the command, adds the traceback.
    """
    from tallow.cli.errors import guarded

    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    debug = len(options) < end
    return guarded(partial(_run, options + arguments[end:]), debug=debug)


def _run(arguments: list[str]) -> int:
    from tallow.errors import MissingExtraError

    try:
        from tallow.cli.app import make_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "click", "rich"):
            raise
        raise MissingExtraError(
            f"tallow: expected the package {error.name}, which is not installed; "
            'run: pip install "tallow[cli]"'
        ) from error
    # Typer costs a few milliseconds for each command it knows: give it the one that is called,
    # or all of them when there is something to list or to correct.
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    names = (name,) if name in COMMANDS and arguments[0] == name else COMMANDS
    make_app(names)(arguments, prog_name="tallow")
    return 0
