"""Kernels write what their signatures say, all of it, and nothing else."""

import os
import signal
import subprocess

import pytest

from alone import PATIENCE, PYTHON
from native import written
from native.calls import CODES, SIGNATURES, calls, environment, modes_of
from tallow import _native
from tallow.errors import TallowError

MODES = {mode + optional for mode in ("in", "out", "inout") for optional in ("", "?")} | {"i", "f"}


def test_signatures_are_of_known_modes():
    assert {mode for name in SIGNATURES for mode in modes_of(name)} <= MODES


def test_every_kernel_has_a_valid_call():
    assert all(calls(name) for name in SIGNATURES)


def test_every_kernel_writes_something():
    for name in SIGNATURES:
        assert any("out" in mode for mode in modes_of(name)), name


@pytest.mark.parametrize("isa", _native.ISAS)
@pytest.mark.parametrize("part", range(2))
def test_only_what_is_declared_is_written(isa, part, tmp_path):
    """`in` lies in memory that faults on a write; `out` is full of two patterns in turn."""
    note, names = tmp_path / "note", sorted(SIGNATURES)[part::2]
    command = [*PYTHON, written.__file__, *names, note]
    run = subprocess.run(
        command,
        env=environment(TALLOW_ISA=isa),
        capture_output=True,
        text=True,
        timeout=300 * PATIENCE,
    )
    found = note.read_text().splitlines() if note.exists() else []
    assert run.returncode == 0, [*found[-1:], run.stderr[-2000:]]
    assert found == []


# --- the examination itself sees what it is for ---------------------------------------------------


def declared(monkeypatch, name, signature):
    monkeypatch.setitem(SIGNATURES, name, signature)
    return written.examine(name)


def test_an_output_written_in_part_is_seen(monkeypatch):
    found = declared(monkeypatch, "kv_write", "k:out v:out k:in v:in start:in")
    assert any("not all of it was written" in line for line in found)


def test_an_output_that_is_read_is_seen(monkeypatch):
    found = declared(monkeypatch, "index_write", "out:out indices:in values:in axis:i")
    assert any("not all of it was written" in line for line in found)


def test_an_output_called_inout_is_seen(monkeypatch):
    found = declared(monkeypatch, "softmax", "out:inout x:in axis:i log:i")
    assert found == ["softmax: argument 0 is `inout`, but what it held does not matter"]


def test_an_input_called_inout_is_seen(monkeypatch):
    found = declared(monkeypatch, "softmax", "out:out x:inout axis:i log:i")
    assert found == ["softmax: argument 1 is `inout`, and never changed"]


def test_a_write_to_an_input_ends_the_process():
    code = "from native.calls import *\nlaid = Laid(ArrayText((3,), 2, None), 2, 'contiguous', "
    code += "at_end=True, locked=True)\nlaid.fill(bytes(3), 0)\nlaid.memory.bytes[0] = 1"
    # A sanitizer would end the process in a way of its own.
    options = ("ASAN_OPTIONS", "TSAN_OPTIONS")
    env = environment(**{name: f"{os.environ.get(name, '')}:handle_segv=0" for name in options})
    run = subprocess.run([*PYTHON, "-c", code], env=env, capture_output=True)
    assert run.returncode == -signal.SIGSEGV


def test_children_run_the_library_that_is_tested():
    """A copy built with sanitizers, or for another CPU, stands ahead of the source tree."""
    code = "from tallow import _native; print(_native.__file__)"
    run = subprocess.run([*PYTHON, "-c", code], env=environment(), capture_output=True)
    assert run.stdout.decode().strip() == _native.__file__


# --- modes in calls -------------------------------------------------------------------------------


def test_only_written_arguments_count_a_write():
    out, x = (_native.Array.full([3], 1, CODES["f32"]) for _ in range(2))
    before = out.version, x.version
    _native.call("copy", out, x)
    assert (out.version - before[0], x.version - before[1]) == (1, 0)


def test_a_written_argument_that_is_none_is_refused():
    x = _native.Array.full([3], 1, CODES["f32"])
    with pytest.raises(TallowError, match="copy: .*kind differs"):
        _native.call("copy", None, x)
