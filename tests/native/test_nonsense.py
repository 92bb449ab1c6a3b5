"""No arguments crash a kernel: calls in processes of their own; each crash was a bug."""

import os
import struct
import subprocess
import time
from contextlib import suppress
from itertools import islice

import pytest

from alone import PATIENCE, PYTHON
from native import nonsense, spoilt
from native.calls import BLOCKS, CODES, SIGNATURES, calls, environment
from tallow import _native
from tallow.errors import TallowError

# A few seconds' worth; TALLOW_NONSENSE=1000000 for a longer search.
CALLS = int(os.environ.get("TALLOW_NONSENSE", "20000"))
KNOWN = sorted(SIGNATURES)
SECONDS = max(60, CALLS // 100) * PATIENCE


def test_random_calls_end_well(tmp_path):
    note = tmp_path / "note"
    note.write_bytes(bytes(16))
    command = [*PYTHON, nonsense.__file__, "0", str(CALLS), note]
    try:
        run = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=SECONDS
        )
        code, end = run.returncode, run.stderr[-2000:]
    except subprocess.TimeoutExpired:
        code, end = -1, f"not done after {SECONDS} seconds"
    at, done = struct.unpack("<qq", note.read_bytes())
    call = f"call {at}, {nonsense.describe(at, KNOWN)}" if at < CALLS else "the end"
    assert code == 0, f"exit {code} in {call}\n{end}"
    # Nonsense that is always refused would find nothing.
    assert done > CALLS / 20


def test_calls_are_the_same_in_every_run():
    first = [nonsense.describe(i, KNOWN) for i in range(300)]
    assert first == [nonsense.describe(i, KNOWN) for i in range(300)]


# --- valid calls, each spoilt in one place --------------------------------------------------------

# No call of few elements takes as long.
LONGEST = 15 * PATIENCE


def ends(command, note, env):
    """The exit code of a child, -9 if one call of it took too long."""
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as child:
        last, since = None, time.monotonic()
        while child.poll() is None:
            time.sleep(0.02)
            now = note.read_bytes()
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > LONGEST:
                child.kill()
    return child.returncode


@pytest.mark.parametrize("isa", _native.ISAS)
def test_spoilt_calls_end_well(isa, tmp_path):
    """A call that ends its process is noted, and the next process goes on behind it."""
    note, bad = tmp_path / "note", []
    note.write_bytes(bytes(24))
    at = done = complete = 0
    while not complete and len(bad) < 10:
        command = [*PYTHON, spoilt.__file__, str(at), note]
        code = ends(command, note, environment(TALLOW_ISA=isa))
        at, done, complete = struct.unpack("<qqq", note.read_bytes())
        if not complete:
            name, why, _ = next(islice(spoilt.every(), at, None))
            bad.append(f"exit {code} in {name} {why}")
            at += 1
    assert bad == []
    assert at / 20 < done < at


def test_every_class_spoils_every_kernel():
    for name in SIGNATURES:
        call = spoilt.Call(name, calls(name)[0], CODES["f32"])
        for title, spoil in spoilt.CLASSES.items():
            one = len(call.arrays) < 2 or any(BLOCKS[call.code(i)] > 1 for i in call.arrays)
            assert next(iter(spoil(call)), None) or (title == "overlapping" and one), name


# --- what the search, and reading with it in mind, found ------------------------------------------


def zeros(*shape, dtype="f32"):
    return _native.Array.full(shape, 0, CODES[dtype])


def integers(*values):
    return _native.Array.from_list([*values], CODES["i64"])


NEAR = (1, 1, 1, 0, 0, 0, 1, 1, 1, 1)  # stride, offset, dilation, groups
FAR = 2**39


def _calls():
    f = zeros
    index = integers(0, 1, 2, 3)
    yield "arrays of several shapes", "copy", (f(4), f(9))
    yield "arrays of several shapes", "nextafter", (f(4), f(9), f(2))
    yield "arrays of several shapes", "complex", (f(4, dtype="complex64"), f(9), f(2))
    yield (
        "arrays of several shapes",
        "where",
        (f(4), f(9, dtype="bool_"), f(2), f(1)),
    )
    # An index inside the output changes after it was checked.
    yield "an index in the output", "scatter", (index, index, 0, index, integers(2**40, 0, 0, 0))
    shifted = integers(*range(9))
    part, rest = shifted.narrow(0, 0, 8), shifted.narrow(0, 1, 8)
    yield "an index in the output", "gather", (rest, f(9, dtype="i64"), 0, part)
    one = shifted.view([1, 1, 9])
    yield "an index in the output", "plane_scatter", (one.retype(CODES["f64"]), one, one, 0)
    out = f(1, 2, 4, 8)
    start = out.view([64]).retype(CODES["i64"]).narrow(0, 0, 1)
    queries = (out, *[f(1, 2, 4, 8)] * 3)
    how = (start, None, 1.0, 1, 0, 0.0)
    yield "a start in the output", "attention", (*queries, *how)
    yield "a start in the output", "attention_per_head", (*queries, *how, None, None, 0)
    for i in range(3):
        grads = [f(1, 2, 4, 8) for _ in range(7)]
        grads[i] = out
        more = (start, None, 1.0, 1, 0, 0.0)
        yield "a start in the output", "attention_backward", (*grads, *more)
    # Sizes whose product overflows: a view can repeat an element 2^60 times.
    long = f(1).expand([2**59])
    yield "a long view", "order_statistic", (f(1), f(1, dtype="i64"), long, -1)
    wide = f(1, 1, 1).expand([1, 1, 2**60])
    yield "a long view", "max_pool", (f(1, 1, 1), wide, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1)
    yield "a long view", "avg_pool", (f(1, 1, 1), wide, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0.0)
    weights = f(1, 1, 1).expand([1, 1, 2**60])
    yield "a long view", "conv", (f(1, 1, 1), f(1, 1, 4), weights, None, *NEAR)
    yield "a long view", "conv_input_grad", (f(1, 1, 4), f(1, 1, 1), weights, None, *NEAR)
    no_axes = f(0, 1, dtype="i64").expand([0, 2**59])
    many = f(1).expand([2**60])
    yield "a long view", "index_write", (f(), no_axes, many, 0)
    # A reach that overflows, or a division by what overflows to 0.
    reach = (1, 1, 2**30, 1, 1, 1, 0, 0, 0, 1, 1, 2**30)
    yield "a far reach", "max_pool", (f(1, 1, 1), f(1, 1, 4), *reach)
    kernel = (65537 * 641, 6700417, 65535, 1, 1, 1, 0, 0, 0, 1, 1, 1)  # 2^64 - 1 elements
    yield "a far reach", "max_pool", (f(1, 1, 1, 1, 1), f(1, 1, 4, 4, 4), *kernel)
    yield "a far reach", "avg_pool", (f(1, 1, 1, 1, 1), f(1, 1, 4, 4, 4), *kernel, 1, 0.0)
    far = (1, 1, 1, 0, -FAR, -FAR, 1, FAR, FAR, 1)
    yield "a far reach", "conv", (f(1, 1, 4, 4), f(1, 1, 4, 4), f(1, 1, 3, 3), None, *far)
    patches = (2**30, 2**30, 1, 1, 2**29, 2**29, 1, 1)
    yield "a far reach", "unfold", (f(1, 0, 25), f(1, 16, 4, 4), *patches)
    yield "no weights", "conv", (f(1, 1, 4, 4), f(1, 1, 4, 4), f(1, 1, 0, 0), None, *NEAR)
    yield "no weights", "conv", (f(1, 2, 4, 4), f(1, 2, 4, 4), f(2, 2, 0, 0), None, *NEAR)
    # A divisor was searched for zeros before its shape was looked at.
    divisor = f(8, 1, dtype="i64").expand([8, 2**40])
    yield "a long search", "floor_divide", (f(8, dtype="i64"), f(8, dtype="i64"), divisor)
    yield "numbers that do not fit", "arange", (f(3, dtype="i64"), 1e300, 1.0)
    # 3x3 weights of many channels are computed in a way of their own, which took any dtype for f32.
    planes, weights = f(1, 24, 12, 14, dtype="bool_"), f(24, 24, 3, 3, dtype="bool_")
    yield "no floats", "conv", (planes, planes, weights, None, *NEAR)
    yield "no floats", "conv_weight_grad", (weights, planes, planes, *NEAR)
    # Positions that fit an output with room for fewer.
    counts = integers(0, 2)
    mask = f(4, dtype="bool_")
    yield "counts in the output", "masked_select", (counts, integers(9, 9, 9, 9), mask, counts)
    yield "a far diagonal", "triangle", (f(3, 3), f(3, 3), 2**63 - 1, 1)
    for before in (-5, 4, 2**63 - 1, -(2**63)):
        yield "a far pad", "pad", (f(7), f(4), None, 1, before, *(0,) * 11)
        for mode in (0, 2, 3):
            yield "a far reach", "pad", (f(7), f(4), None, mode, before, *(0,) * 11)
    yield "no elements", "pad", (f(7), f(0), None, 3, *(0,) * 12)
    yield "many rounds", "pad", (f(99), f(4), None, 3, *(0,) * 12)


MAY_BE_RIGHT = {"no weights", "counts in the output", "a far reach"}


@pytest.mark.parametrize(
    ("why", "name", "args"), [pytest.param(*c, id=f"{c[1]}-{c[0]}") for c in _calls()]
)
def test_refused_and_alive(why, name, args):
    refused = pytest.raises(TallowError, match=f"{name}: ")
    with suppress(TallowError) if why in MAY_BE_RIGHT else refused:
        _native.call(name, *args)
