"""A command gets from a line the values that Typer, which read it before, gave it."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys

import pytest

from tallow.cli import COMMANDS, load_command
from tallow.cli.app import run_command
from tallow.cli.parameters import Argument, Option, parameters

# As Typer 0.29 told them; what is not named has its default.
LINES = {
    "generate m -p x": {"model": "m", "prompt": "x"},
    "generate -px m": {"model": "m", "prompt": "x"},
    "generate m --prompt=x --max-tokens 5 --temperature .5 --top-k 3 --top-p 1 --min-p 0.25": {
        "model": "m", "prompt": "x", "max_tokens": 5, "temperature": 0.5, "top_k": 3,
        "top_p": 1.0, "min_p": 0.25,
    },
    "generate --stop a m --stop=b --seed 7 --json --ignore-eos --prompt-file -": {
        "model": "m", "stop": ["a", "b"], "seed": 7, "json": True, "ignore_eos": True,
        "prompt_file": "-",
    },
    "generate m -p x --threads 2 --repetition-penalty 1.": {
        "model": "m", "prompt": "x", "threads": 2, "repetition_penalty": 1.0,
    },
    "generate m -p --json": {"model": "m", "prompt": "--json"},
    "generate m -p -": {"model": "m", "prompt": "-"},
    "generate m --prompt --seed=2": {"model": "m", "prompt": "--seed=2"},
    "generate m --prompt=--seed --seed -2": {"model": "m", "prompt": "--seed", "seed": -2},
    "generate m --prompt=": {"model": "m", "prompt": ""},
    "generate m --temperature 1e-1 --seed +3": {"model": "m", "temperature": 0.1, "seed": 3},
    "generate --json -- -m": {"model": "-m", "json": True},
    "chat m": {"model": "m"},
    "chat m --system s --prompt = --seed=0": {
        "model": "m", "system": "s", "prompt": "=", "seed": 0,
    },
    "chat m --prompt a --prompt b": {"model": "m", "prompt": "b"},
    "embed m a --images b -o f -": {
        "model": "m", "inputs": ["a", "b", "-"], "images": True, "output": "f",
    },
    "embed --batch-size 2 m -- --images": {"model": "m", "inputs": ["--images"], "batch_size": 2},
    "rerank m q --top-k 1 a b": {"model": "m", "query": "q", "documents": ["a", "b"], "top_k": 1},
    "inspect m --json --full": {"model": "m", "json": True, "full": True},
    "pull m -q --verify": {"model": "m", "quiet": True, "verify": True},
    "models": {},
    "models --json": {"json": True},
    "bench m --prompt-tokens 0 --gen-tokens 2 --runs 1": {
        "model": "m", "prompt_tokens": 0, "gen_tokens": 2, "runs": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_values(line):
    name, *words = line.split()
    command, seen = load_command(name), {}

    @functools.wraps(command)
    def record(**values):
        seen.update(values)

    run_command(name, record, words)
    bound = inspect.signature(command).bind(**LINES[line])
    bound.apply_defaults()
    assert seen == bound.arguments
    assert {key: type(value) for key, value in seen.items()} == {
        key: type(value) for key, value in bound.arguments.items()
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chat", "arguments are required: MODEL"),
        ("chat m n", "unexpected argument: n"),
        ("chat m --nothing", "no such option: --nothing"),
        ("chat m --max-to 3", "no such option: --max-to; near it: --max-tokens"),
        ("chat m --prompt", "--prompt/-p: expected one argument"),
        ("chat m --prompt --", "--prompt/-p: expected one argument"),
        ("chat m --prompt=--", "--prompt/-p: expected one argument"),
        ("chat m -p=--", "--prompt/-p: expected one argument"),
        ("chat m --seed x", "--seed: expected an integer, got 'x'"),
        ("chat m --max-tokens 0", "--max-tokens: expected x>=1, got '0'"),
        ("chat m --max-tokens 1e3", "--max-tokens: expected an integer, got '1e3'"),
        ("chat m --top-p 1.1", "--top-p: expected 0<=x<=1, got '1.1'"),
        ("chat m --temperature nan", "--temperature: expected x>=0, got 'nan'"),
        ("chat m --temperature \x1b[1m", r"expected a number, got '\x1b[1m'"),
        ("chat m --activations loose", "--activations: expected one of "),
        ("inspect m --json=1", "--json: "),
        ("rerank m q", "arguments are required: TEXT..."),
        ("quantize", "arguments are required: MODEL"),
    ],
)
def test_wrong_lines_say_what_is_wrong(run, line, said):
    code, out, err = run(*line.split())
    name = line.split()[0]
    usage, hint, error = err.splitlines()
    assert (code, out) == (2, "")
    assert usage.startswith(f"Usage: tallow {name} [OPTIONS]")
    assert hint == f"Try 'tallow {name} --help' for help."
    assert error.startswith("error: ") and said in error


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_is_declared_and_shown(run, name):
    command = load_command(name)
    rows = list(parameters(command))
    declared = inspect.signature(command).parameters
    assert [row.name for row in rows] == list(declared)
    assert [row.default for row in rows if not row.required] == [
        each.default for each in declared.values() if each.default is not each.empty
    ]
    assert all(isinstance(row.row, Argument | Option) and row.row.help for row in rows)
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    for row in rows:
        assert (", ".join(row.flags) or row.metavar) in out


def test_an_answer_needs_neither_rich_nor_numpy(tiny):
    script = (
        "import sys; from tallow.cli import main;"
        f"assert main(['generate', {tiny!r}, '--prompt', 'x', '--max-tokens', '1']) == 0;"
        "heavy = {'rich', 'numpy', 'jinja2', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
