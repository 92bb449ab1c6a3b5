"""A line that is read directly gives a command what Typer would have given it."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tallow.cli import COMMANDS, load_command
from tallow.cli.app import for_typer
from tallow.cli.parameters import Argument, Option, parameters, read

LINES = [
    "generate m -p x",
    "generate m --prompt=x --max-tokens 5 --temperature .5 --top-k 3 --top-p 1 --min-p 0.25",
    "generate --stop a m --stop=b --seed 7 --json --ignore-eos --prompt-file -",
    "generate m -p x --activations exact --threads 2 --repetition-penalty 1.",
    "chat m",
    "chat m --system s --prompt = --seed=0",
    "inspect m --json --full",
    "pull m -q --verify",
    "models",
    "models --json",
    "bench m --prompt-tokens 0 --gen-tokens 2 --runs 1",
]
FOR_TYPER = [
    "chat",
    "chat m n",
    "chat m --help",
    "chat m --nothing",
    "chat m --prompt",
    "chat m -px",
    "chat -- m",
    "chat m --prompt --system",
    "chat m --seed -1",
    "chat m --seed x",
    "chat m --top-p 1.1",
    "chat m --max-tokens 0",
    "chat m --max-tokens 1e3",
    "chat m --temperature nan",
    "chat m --activations loose",
    "inspect m --json=1",
]


def by_typer(command, line):
    """The values that Typer gives a function with the same declarations."""
    declared, seen = for_typer(command), {}

    def record(**values):
        seen.update(values)

    record.__signature__, record.__annotations__ = declared.__signature__, declared.__annotations__
    app = typer.Typer()
    app.command()(record)
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    return seen


@pytest.mark.parametrize("line", LINES)
def test_read_agrees_with_typer(line):
    name, *words = line.split()
    command = load_command(name)
    values = read(command, words)
    assert values is not None
    bound = inspect.signature(command).bind(**values)
    bound.apply_defaults()
    found = by_typer(command, words)
    assert {k: v or None for k, v in found.items()} == {
        k: v or None for k, v in bound.arguments.items()
    }


@pytest.mark.parametrize("line", FOR_TYPER)
def test_typer_answers_the_rest(line):
    name, *words = line.split()
    assert read(load_command(name), words) is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_is_declared(name):
    command = load_command(name)
    rows = list(parameters(command))
    assert [row.name for row in rows] == list(inspect.signature(command).parameters)
    assert all(isinstance(row.row, Argument | Option) and row.row.help for row in rows)


def test_an_answer_needs_neither_typer_nor_rich_nor_numpy(tiny):
    script = (
        "import sys; from tallow.cli import main;"
        f"assert main(['generate', {tiny!r}, '--prompt', 'x', '--max-tokens', '1']) == 0;"
        "heavy = {'typer', 'click', 'rich', 'numpy', 'jinja2', 'pydantic', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
