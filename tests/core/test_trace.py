"""TALLOW_TRACE tells of each call, copy and allocation in a line; off, nothing is told."""

import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import tallow as tl

x = tl.ones(3, 4)
y = x.t().contiguous()
z = y.to(tl.f16)
w = tl.nn.functional.linear(x, tl.ones(5, 4)) if hasattr(tl.nn, "functional") else x @ tl.ones(4, 5)
plan = tl.capture(lambda t: (t * 2).exp(), tl.ones(2, 2))
plan.run()
"""
LINE = re.compile(r"tallow +\d+\.\d{6}  thread \d+  (call|copy|cast|alloc|view|op) +\S.*")


def run(code=PROGRAM, **environment):
    """Standard error of a program."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == ""
    return done


def test_calls_copies_casts_and_allocations_have_a_line_each():
    lines = run(TALLOW_TRACE="1").stderr.splitlines()
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    text = "\n".join(lines)
    assert re.search(r"alloc  f32\(3, 4\)  48 bytes from the (cache|system)", text)
    assert re.search(r"copy   \w+ > copy  out f32\(4, 3\)  x f32\(4, 3\) strides \(1,4\)", text)
    assert re.search(r"cast   to > copy  out f16\(4, 3\)  x f32\(4, 3\)", text)
    assert re.search(r"call   (linear|matmul)  out f32\(3, 5\)  \w+ f32\(3, 4\)", text)
    assert len(re.findall(r"call   exp  out f32\(2, 2\)", text)) == 1
    assert len(re.findall(r"call   plan > exp  out f32\(2, 2\)", text)) == 1
    timed = [line for line in lines if re.search("  (call|copy|cast) ", line)]
    assert all(re.search(r"\d\.\d us$", line) for line in timed)


def test_views_and_ops_made_of_others_are_told_with_their_tensors():
    code = "import tallow as tl\nx = tl.ones(3, 4)\nx.t()\ntl.nn.functional.mse_loss(x, x)\n"
    told = run(code, TALLOW_TRACE="1").stderr
    assert re.search(r"view   (t|transpose)  f32\(3, 4\)\n", told)
    assert re.search(r"op     mse_loss  f32\(3, 4\)  f32\(3, 4\)\n(.*\n)*.*call +\w+", told)


def test_a_call_that_is_refused_says_why():
    code = "import tallow as tl\ntry:\n    tl.ones(3)[tl.tensor([7])]\nexcept IndexError:\n    pass"
    told = run(code, TALLOW_TRACE="1").stderr
    assert "  refused: expected an index inside shape (3,), got 7 for axis 0" in told


def test_lines_go_to_a_file_and_are_added_to_what_is_there(tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text("before\n")
    assert run(TALLOW_TRACE=str(file)).stderr == ""
    first, *lines = file.read_text().splitlines()
    assert first == "before"
    assert lines
    assert all(LINE.fullmatch(line) for line in lines)


@pytest.mark.parametrize("off", ["", "0"])
def test_off_is_silent(off):
    assert run(TALLOW_TRACE=off).stderr == ""


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    wrong = tmp_path / "none" / "trace.txt"
    done = run("import tallow", TALLOW_TRACE=str(wrong))
    assert done.returncode == 1
    assert f"TALLOW_TRACE: expected 1 or a file that can be written, got {wrong}" in done.stderr
