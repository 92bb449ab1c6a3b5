"""The command line in this process and in one of its own, and a tiny model to call it with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tallow.cli import main

GOLDEN = Path(__file__).parent.parent / "golden" / "models"
TINY = GOLDEN / "llama" / "llama.q8_0.gguf"
PROGRAM = [sys.executable, "-c", "import sys; from tallow.cli import main; sys.exit(main())"]
# The same, but no file is ever put in its place: a signal always comes before the end.
HELD = [
    sys.executable,
    "-c",
    "import os, time; os.replace = lambda *_: time.sleep(600)\n" + PROGRAM[2],
]


@pytest.fixture
def tiny() -> str:
    return str(TINY)


@pytest.fixture
def run(capsys):
    """Call `main` here: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


@pytest.fixture
def spawn():
    """Call the program in a process of its own."""

    def call(*arguments: object, **options) -> subprocess.CompletedProcess:
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        environment = {**os.environ, **options.pop("env", {})}
        command = [*PROGRAM, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, timeout=120, env=environment, **options)

    return call


@pytest.fixture
def interrupted(tmp_path):
    """Start the program, press Ctrl-C when it begins to write, and give back the folder."""

    def call(*arguments: object) -> Path:
        folder = tmp_path / "out"
        folder.mkdir()
        command = [*HELD, *(str(arg).replace("OUT", str(folder)) for arg in arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not list(folder.iterdir()) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out, err) == (130, b"", b"")
        return folder

    return call
