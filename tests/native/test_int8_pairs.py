"""Products of bytes with columns that were packed once: exact, whatever the weights are."""

import subprocess

import numpy as np
import pytest

from alone import PYTHON
from native.calls import environment
from tallow import _native
from tallow.errors import TallowError

# Neighbours whose products with 255 just fit into 16 bits together, and those that do not.
EDGES = [(64, 64), (65, 64), (127, 1), (127, 2), (-64, -64), (-65, -64), (-128, 0), (-128, -1)]
SHAPES = [(5, 37, 19), (4, 32, 16), (9, 70, 33), (1, 3, 1), (33, 129, 48)]


def bytes_of(rng, shape, spread, dtype):
    """About zero as signed numbers are, or about 128."""
    drawn = np.rint(rng.normal(size=shape) * spread).clip(-128, 127)
    return (drawn + (0 if dtype == "i1" else 128)).astype(dtype)


def packed_columns(call, b, zero):
    units, panels = -(-b.shape[0] // 32), -(-b.shape[1] // 16)
    out = np.full(panels * (512 + 1024 * units), 7, "u1")
    call("int8_columns", out, b, zero)
    return out


def check(call, a, b, a_zero, b_zero):
    packed, found = packed_columns(call, b, b_zero), np.zeros((1, len(a), b.shape[1]), "i4")
    call("matmul_int8", found, a[None], b[None], a_zero, b_zero, None, None, None, packed)
    x = a.astype("i8") - (0 if a_zero is None else a_zero.astype("i8").reshape(-1, 1))
    w = b.astype("i8") - (0 if b_zero is None else b_zero.astype("i8"))
    np.testing.assert_array_equal(found[0], x @ w)


@pytest.mark.parametrize("spread", [0, 12, 29, 45, 500])
def test_products_are_exact(call, rng, spread):
    for m, k, n in SHAPES:
        for a_kind in ("u1", "i1"):
            for b_kind in ("u1", "i1"):
                a, b = bytes_of(rng, (m, k), 90, a_kind), bytes_of(rng, (k, n), spread, b_kind)
                check(call, a, b, None, None)
                one, many = bytes_of(rng, (1,), 50, a_kind), bytes_of(rng, (n,), 50, b_kind)
                check(call, a, b, one, many)
                check(call, a, b, bytes_of(rng, (m,), 50, a_kind), many[:1])


def test_neighbours_at_the_edge(call, rng):
    for pair in EDGES:
        for at in (0, 1, 2, 30):
            b = bytes_of(rng, (33, 17), 9, "i1")
            b[at : at + 2, 5] = pair
            b[at : at + 2, 16] = pair
            check(call, np.full((6, 33), 255, "u1"), b, None, None)
            check(call, np.full((6, 33), 127, "i1"), b, np.full(1, -128, "i1"), None)


def test_memory_that_was_not_packed(call, rng):
    """What comes of it has no meaning, but nothing else is read."""
    a, b = bytes_of(rng, (5, 64), 90, "u1"), bytes_of(rng, (64, 32), 9, "i1")
    good = packed_columns(call, b, None)
    for fill in (0, 1, 127, 255, rng.integers(0, 256, 2560)):
        for begin, end in ((0, 512), (512, 2560), (0, 2560)):
            packed = good.copy()
            packed.reshape(2, 2560)[:, begin:end] = np.broadcast_to(fill, 2560)[begin:end]
            out = np.zeros((1, 5, 32), "i4")
            call("matmul_int8", out, a[None], b[None], None, None, None, None, None, packed)


def test_no_columns_of_any_depth(call):
    """The depth of columns that are not there is bounded by nothing but its own type."""
    for depth in (2**40, 2**61, 2**62, 2**63 - 1):
        with pytest.raises(TallowError, match="int8_columns: "):
            call("int8_columns", np.zeros(64, "u1"), np.zeros((depth, 0), "u1"), None)
        with pytest.raises(TallowError, match="int8_rows: "):
            call("int8_rows", np.zeros(64, "u1"), np.zeros((0, depth), "u1"), None, 1)


# On the other sets of kernels that this processor runs.
@pytest.mark.parametrize("isa", [isa for isa in _native.ISAS if isa != _native.ISA])
def test_products_by_other_sets_of_kernels(isa):
    script = (
        "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]))"
    )
    names = [test_products_are_exact, test_neighbours_at_the_edge, test_memory_that_was_not_packed]
    command = [*PYTHON, "-c", script, *(f"{__file__}::{test.__name__}" for test in names)]
    run = subprocess.run(command, env=environment(TALLOW_ISA=isa), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:]
