"""`python -m tallow.torch SCRIPT ...`: run a program whose `import torch` finds this namespace."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from types import ModuleType

from tallow.torch._finder import install

_USAGE = """usage: python -m tallow.torch SCRIPT [ARGUMENT ...]
       python -m tallow.torch -m MODULE [ARGUMENT ...]

Run a Python program written for PyTorch on Tallow: its `import torch` finds tallow.torch.
"""


def main(arguments: list[str]) -> int:
    """Run the script or module that the arguments name, as Python would."""
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(_USAGE)
        return 0 if arguments else 2
    if arguments[0] == "-m":
        if len(arguments) < 2:
            sys.stderr.write(_USAGE)
            return 2
        install()
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        return _shown(lambda: runpy.run_module(arguments[1], run_name="__main__", alter_sys=True))
    try:
        with open(arguments[0], "rb") as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"python -m tallow.torch: {arguments[0]}: {error.strerror}\n")
        return 2
    install()
    sys.argv = list(arguments)
    sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
    module = ModuleType("__main__")
    module.__file__ = os.path.abspath(arguments[0])
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    return _shown(lambda: exec(compile(source, arguments[0], "exec"), module.__dict__))


def _shown(run: Callable[[], object]) -> int:
    """Run; an exception is shown from the program's own first line on, as Python shows it."""
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:  # shown as Python shows it, an interrupt too
        trace = error.__traceback__
        for _ in range(2):  # this function and the lambda
            trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
