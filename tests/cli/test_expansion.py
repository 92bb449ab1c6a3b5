"""`--max-expansion`: tensors that take many times the bytes of their file, in each command."""

from __future__ import annotations

import re
import shutil
from functools import partial

import pytest

from cli.conftest import GOLDEN
from tallow.cli.convert import convert
from tallow.cli.diff import diff
from tallow.cli.quantize import quantize
from tallow.conversion import content
from tallow.formats.safetensors import open_safetensors
from tallow.weights import open_weights
from torch_bytes import archive, storage, tensor, text

LLAMA = GOLDEN / "llama"
COMMANDS = ("quantize", "quantize --dry-run", "convert", "convert to npz", "diff")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The tiny llama, each of its tensors one stored element that is repeated."""
    monkeypatch.setattr(content, "FREE_EXPANSION", 0)  # what is small is allowed anyway
    made = tmp_path / "folder"
    made.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(LLAMA / name, made)
    with open_safetensors(LLAMA / "model.safetensors") as file:
        shapes = {name: tuple(info.shape) for name, info in file.tensors.items()}
    items = b"".join(
        text(name) + tensor(storage(count=1), 0, shape, (0,) * len(shape)) + b"s"
        for name, shape in shapes.items()
    )
    (made / "pytorch_model.bin").write_bytes(archive(b"\x80\2}" + items + b".", {"0": bytes(4)}))
    return made


def call(run, command, folder, *more):
    name, _, kind = command.partition(" ")
    out = folder.parent / ("out.npz" if kind == "to npz" else "out.gguf")
    arguments = {
        "quantize": (folder, out, "--type", "q8_0"),
        "convert": (folder, out, *(("--names", "hf") if kind == "to npz" else ())),
        "diff": (folder, folder),
    }[name]
    return run(name, *arguments, *(["--dry-run"] if kind == "--dry-run" else []), *more), out


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_larger_is_refused(run, folder, command):
    (code, shown, err), out = call(run, command, folder)
    assert (code, shown) == (1, "") and not out.exists()
    stored = (folder / "pytorch_model.bin").stat().st_size
    found = re.fullmatch(
        r"error: (.*): expected tensors of at most 16 times the ([\d,]+) bytes of the file and "
        r"0 MiB, found ([\d,]+) bytes \(--max-expansion allows more\)\n",
        err,
    )
    assert found, err
    assert found[1].startswith(str(folder))
    bytes_of_file, taken = (int(number.replace(",", "")) for number in found.groups()[1:])
    assert bytes_of_file <= stored and taken > 16 * bytes_of_file


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("limit", ["1e6", "inf"])
def test_the_limit_can_be_raised(run, folder, command, limit):
    (code, _, err), out = call(run, command, folder, "--max-expansion", limit)
    assert code == 0, err
    if command not in ("quantize --dry-run", "diff"):
        with open_weights(out) as made, open_weights(folder) as source:
            assert (
                sum(map(nbytes(made), made.names())) > (folder / "pytorch_model.bin").stat().st_size
            )
            assert len(made.names()) >= len(source.names())


def nbytes(source):
    return lambda name: source.info(name).nbytes


@pytest.mark.parametrize("command", ["quantize", "convert", "diff"])
def test_an_ordinary_file_needs_no_expansion(run, tmp_path, monkeypatch, command):
    monkeypatch.setattr(content, "FREE_EXPANSION", 0)
    folder = shutil.copytree(LLAMA, tmp_path / "folder", ignore=partial(others, "golden"))
    (code, _, err), _ = call(run, command, folder, "--max-expansion", "1")
    assert code == 0, err


def others(word, folder, names):
    return [name for name in names if word in name or name.endswith(".gguf")]


@pytest.mark.parametrize("command", ["quantize", "convert", "diff"])
@pytest.mark.parametrize("value", ["0.5", "-1", "nan", "many"])
def test_a_limit_that_is_none(run, folder, command, value):
    (code, _, err), out = call(run, command, folder, "--max-expansion", value)
    assert code == 2 and "--max-expansion" in err and not out.exists()


def test_every_command_that_makes_tensors_has_it():
    """`inspect` reads no tensor, and the rest run a model, whose sizes its config declares."""
    for command in (convert, diff, quantize):
        assert command.__annotations__["max_expansion"] == "options.MaxExpansion"
