"""The `tallow` command: one thin file per command, imported only when that command is called."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

COMMANDS = (
    "chat", "generate", "translate", "summarize", "embed", "rerank", "classify", "detect",
    "segment", "read", "ocr", "table", "vad", "transcribe", "speak", "serve", "finetune",
    "inspect", "convert",
    "quantize", "export", "imatrix", "diff", "pull", "models", "bench", "profile",
)  # fmt: skip
"""Each is a function of the same name in the module of the same name, in the order of the help."""

# Modules and a model are a hundred thousand objects that stay: looking for garbage among them, as
# often as Python does by itself, is a tenth of the time to the first token.
_THRESHOLDS = (50_000, 20, 50)


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
    thresholds = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        return guarded(partial(_run, options + arguments[end:]), debug=debug)
    finally:
        gc.set_threshold(*thresholds)


def load_command(name: str) -> Callable[..., None]:
    """The function of a command."""
    found: Callable[..., None] = getattr(import_module(f"tallow.cli.{name}"), name)
    return found


def _run(arguments: list[str]) -> int:
    from tallow.errors import MissingExtraError

    try:
        _call(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        raise MissingExtraError(
            "tallow: expected the package rich, which is not installed; "
            'run: pip install "tallow[cli]"'
        ) from error
    return 0


def _call(arguments: list[str]) -> None:
    from tallow.cli.app import read_name, run_command

    if not arguments or arguments[0] not in COMMANDS:
        arguments = [read_name({name: load_command(name) for name in COMMANDS}, arguments)]
    run_command(arguments[0], load_command(arguments[0]), arguments[1:])
