"""Whatever goes wrong: one line, an exit code, no traceback unless it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import PROGRAM
from tallow import cli
from tallow.cli import COMMANDS, main

HOSTILE = Path(__file__).parent.parent / "hostile"
FILES = sorted(f for kind in ("gguf", "safetensors") for f in (HOSTILE / kind).iterdir())


def one_error(result: tuple[int, str, str], code: int = 1) -> str:
    found, out, err = result
    assert (found, out) == (code, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n")
    return err


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hostile_file(run, path):
    calls = [("inspect", path), ("generate", path, "-p", "x"), ("bench", path)]
    for call in calls:
        assert "debug" not in one_error(run(*call))


def test_hostile_file_in_a_process_of_its_own(spawn):
    done = spawn("chat", FILES[0], "--prompt", "x")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("inspect", "no-such-model"), "unknown name"),
        (("inspect", ""), "empty name"),
        (("inspect", "/no/such/file"), "nothing at /no/such/file"),
        (("inspect", "hf:a b"), "model reference"),
        (("pull", "ftp:/x"), "model reference"),
        (("inspect", "/dev/zero"), "a regular file"),
        (("generate", HOSTILE, "-p", "x"), "expected one of model.safetensors"),
    ],
    ids=str,
)
def test_bad_reference(run, arguments, text):
    result = run(*arguments)
    assert one_error(result)
    assert text in result[2] or "path" in result[2]


def test_prompts_that_do_not_work(run, tiny, tmp_path):
    assert "context" in one_error(run("generate", tiny, "-p", "x" * 100))
    assert "at least one token" in one_error(run("generate", tiny, "-p", ""))
    assert "readable" in one_error(run("generate", tiny, "--prompt-file", tmp_path / "none"))
    assert "readable" in one_error(run("generate", tiny, "--prompt-file", tmp_path))
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    assert "UTF-8" in one_error(run("generate", tiny, "--prompt-file", tmp_path / "latin"))
    assert "up to 64" in one_error(run("bench", tiny))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["generate"],
        ["--nonsense"],
        ["generate", "m"],
        ["generate", "m", "-p", "x", "--prompt-file", "y"],
        ["generate", "m", "-p", "x", "--max-tokens", "0"],
        ["generate", "m", "-p", "x", "--max-tokens", "many"],
        ["generate", "m", "-p", "x", "--temperature", "-1"],
        ["generate", "m", "-p", "x", "--top-p", "1.5"],
        ["generate", "m", "-p", "x", "--activations", "loose"],
        ["generate", "m", "-p"],
        ["chat", "m", "n"],
        ["bench", "m", "--runs", "0"],
        ["bench", "m", "--prompt-tokens", "0", "--gen-tokens", "0"],
        ["pull"],
        ["models", "--jsno"],
        ["--json", "models"],
        [],
        ["--"],
    ],
    ids=" ".join,
)
def test_wrong_command_line(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.lstrip().startswith(("Usage: tallow", "error: "))


def test_help_and_version(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"tallow {cli.app.__version__}\n")
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    for name in COMMANDS:
        code, out, err = run(name, "--help")
        assert (code, err) == (0, "")
        assert f"tallow {name}" in out


@pytest.mark.parametrize("arguments", [["--debug", "inspect", "x"], ["inspect", "x", "--debug"]])
def test_debug_shows_the_traceback(capsys, arguments):
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and "HubError" in err
    assert err.splitlines()[-1].startswith("error: x: ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("odd\nthing \x1b[1m"), "RuntimeError: odd thing \\x1b[1m; run with --debug"),
        (MemoryError(), "out of memory"),
        (RecursionError(), "RecursionError; run with --debug"),
    ],
)
def test_unexpected_error(run, monkeypatch, tiny, error, text):
    def fail(path):
        raise error

    monkeypatch.setattr("tallow.weights.open_weights", fail)
    assert text in one_error(run("inspect", tiny))


def test_ctrl_c(run, monkeypatch, tiny):
    def fail(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("tallow.weights.open_weights", fail)
    assert run("inspect", tiny) == (130, "", "")
    assert run("inspect", f"{tiny}", "--json")[0] == 130


def test_a_reader_that_leaves(tiny):
    call = [*PROGRAM, "inspect", tiny, "--full"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written(tiny, unbuffered):
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        call = [*PROGRAM, "inspect", tiny, "--json"]
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, timeout=60, env=env)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_closed_streams(tiny, stream):
    line = f'exec {stream}>&-; exec "$@"'
    call = ["sh", "-c", line, "sh", *PROGRAM, "chat", tiny, "--max-tokens", "2"]
    done = subprocess.run(call, capture_output=True, timeout=60, input=b"" if stream else None)
    assert done.returncode == 0
    assert b"Traceback" not in done.stdout + done.stderr


def test_any_locale_and_any_bytes(spawn, tiny):
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = spawn("generate", tiny, "-p", b"caf\xe9 \xff".decode("utf8", "surrogateescape"), env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    done = spawn("inspect", "/né/\udcff", env=env)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


def test_without_rich(spawn, tiny, tmp_path):
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('no', name='rich')")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = spawn("--help", env=env)
    assert done.returncode == 1
    assert b'pip install "tallow[cli]"' in done.stderr and done.stderr.count(b"\n") == 1
    done = spawn("models", env=env)
    assert done.returncode == 1
    assert b'pip install "tallow[cli]"' in done.stderr and done.stderr.count(b"\n") == 1
    assert spawn("generate", tiny, "-p", "x", "--max-tokens", 1, env=env).returncode == 0
