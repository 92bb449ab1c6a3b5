"""Runs Python in processes of their own, for what one can only measure or survive there."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
# How another Python like this one is started. The kernel cannot start an emulated interpreter by
# itself: TALLOW_EMULATOR goes before it.
EMULATOR = shlex.split(os.environ.get("TALLOW_EMULATOR", ""))
PYTHON = [*EMULATOR, sys.executable]
# How many times longer than on this machine's own processor a child may take.
PATIENCE = 30 if EMULATOR else 1


def run_alone(file: str, *arguments: object) -> str:
    """What `file` prints when it is run with these arguments; the modules of `tests` are found."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [*PYTHON, file, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resident() -> int:
    """Bytes of memory that this process has touched and still holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
