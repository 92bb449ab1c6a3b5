"""What `make runtime` compiles, for tests that call it."""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def built(target: str, sanitizer: str = "") -> Path:
    """The build folder, with a target compiled if its sources have changed."""
    folder = ROOT / "build" / (f"runtime-{sanitizer.replace(',', '-')}" if sanitizer else "runtime")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-DTALLOW_RUNTIME=ON", "-DTALLOW_PYTHON=OFF"]
    options += [f"-DTALLOW_SANITIZE={sanitizer}"] if sanitizer else []
    command = ["tools/build.sh", sys.executable, str(folder), *options]
    clean = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    with (folder / ".lock").open("w") as lock:  # workers of pytest-xdist compile once
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            command, cwd=ROOT, env={**clean, "TARGETS": target}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
