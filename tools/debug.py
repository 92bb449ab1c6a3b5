"""Run a Python file once a C++ debugger has attached: the Python half of a mixed debugging session.

Prints its process id, loads Tallow so that breakpoints in the native library resolve, and waits
until the kernel says that somebody traces the process.
"""

import ctypes
import importlib
import os
import runpy
import sys
import time
from pathlib import Path

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, -1  # Linux prctl(2), Yama


def tracer() -> int:
    """The process id of the debugger, or 0."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("TracerPid:")[1].split()[0])


def main(path: str, arguments: list[str]) -> None:
    importlib.import_module("tallow._native")
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(PR_SET_PTRACER_ANY), 0, 0, 0)
    print(f"process {os.getpid()} waits for a C++ debugger", flush=True)
    while not tracer():
        time.sleep(0.1)
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
