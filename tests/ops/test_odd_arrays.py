"""Arrays without elements, expanded, overlapping, backwards, nonsensical: none kills.

Each op is tried in a process of its own (several ops a process), forward, backward and in
place; what it gives is what it gives for the contiguous copy.
"""

import json
import subprocess
import sys

import pytest

from ops import laws, odd_arrays

PARTS = 6
SECONDS = 900  # of which about ten are needed where nothing else runs


def _try(names, folder):
    """(what went wrong, the call at which the process died) of the ops."""
    note, out = folder / "note", folder / "out"
    note.write_bytes(b" " * odd_arrays.NOTE)
    out.write_text("")
    command = [sys.executable, odd_arrays.__file__, str(note), str(out), *names]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        end = "" if run.returncode == 0 else f"exit {run.returncode}: {run.stderr[-1000:]}"
    except subprocess.TimeoutExpired:
        end = f"not done after {SECONDS} seconds"
    at = note.read_bytes().decode().strip()
    wrong = [json.loads(line) for line in out.read_text().splitlines()]
    return wrong, f"{end} in {at}" if end or at != "the end" else ""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_layout_and_no_nonsense_kills(part, tmp_path):
    names = [*laws.CASES][part::PARTS]
    wrong, died = _try(names, tmp_path)
    assert not died, died
    assert not wrong, "\n".join(f"{what}: {said}" for what, said in wrong[:20])


def test_a_process_that_dies_is_seen(tmp_path):
    """The harness itself: an op that does not exist ends the child before its time."""
    _, died = _try(["no_such_row"], tmp_path)
    assert "KeyError" in died


def test_layouts_are_what_they_say():
    x = laws.tensor(odd_arrays.np.arange(24.0).reshape(2, 3, 4)).numpy()
    made = {name: make(x) for name, make in odd_arrays.LAYOUTS.items()}
    assert made["expanded along 1"].stride(1) == 0
    assert made["empty along 2"].shape == (2, 3, 0)
    assert made["empty along 2"].stride()[:2] == (0, 0)
    assert made["backwards"].tolist() == x.tolist() and max(made["backwards"].stride()) < 0
    assert made["overlapping"].stride() == (1, 1, 1)
    assert made["expanded along 3"] is None
