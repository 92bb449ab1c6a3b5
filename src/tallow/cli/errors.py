"""How the command line ends: one line for an error, an exit code, never a traceback unasked."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

from tallow.cli.output import printable
from tallow.errors import TallowError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class UsageError(TallowError):
    """A command line whose options do not go together."""


def guarded(work: Callable[[], int], *, debug: bool) -> int:
    """Run `work` and return the exit code; whatever it raises becomes one line.

    A reader that went away (`tallow … | head`) is no error worth a word: 1 and silence.
    """
    _prepare_streams()
    try:
        try:
            code = work()
        except SystemExit as leaving:  # Typer ends every command line so
            code = _code_of(leaving)
        _flush()
        return code
    except BrokenPipeError:
        _abandon_output()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # a command shows one line, whatever was raised
        if debug:
            import traceback

            traceback.print_exc()
        report(error)
        try:
            sys.stdout.flush()
        except OSError:  # what could not be written would be tried again at exit, with a traceback
            _abandon_output()
        return USAGE if isinstance(error, UsageError) else FAILED


def report(error: BaseException) -> None:
    """Print `error: …` in one line on standard error."""
    print(f"error: {_sentence(error)}", file=sys.stderr, flush=True)


def _sentence(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()))
    if isinstance(error, TallowError):
        return text
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{printable(str(error.filename or 'output'))}: {error.strerror}"
    name = type(error).__name__
    return f"{name}: {text}; run with --debug to see where" if text else f"{name}; run with --debug"


def _code_of(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return FAILED


def _prepare_streams() -> None:
    """Streams that exist and take every character, whatever the locale and the caller closed."""
    if sys.stdout is None:
        sys.stdout = _null_stream()
    if sys.stderr is None:
        sys.stderr = _null_stream()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _null_stream() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _flush() -> None:
    sys.stdout.flush()


def _abandon_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = _null_stream()
    finally:
        os.close(nowhere)
