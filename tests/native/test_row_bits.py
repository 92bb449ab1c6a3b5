"""A row's result has the same bits whatever rows stand beside it, by any kernel."""

import numpy as np
import pytest

from native.blocks import BLOCKS, random_blocks
from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 100)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    before = _native.num_threads()
    _native.set_num_threads(request.param)
    yield request.param
    _native.set_num_threads(before)


def bits(x):
    return x.view(f"u{x.itemsize}")


def block_weight(rng, name, n, blocks):
    data = random_blocks(rng, name, n, blocks)
    return _native.Array.from_buffer(data, CODES[name], (n, blocks * BLOCKS[name][0]), 0)


def check_rows(call, x, weight, bias, exact):
    """Any run of rows alone gives what it gives among all of them."""
    n = weight.shape[0]

    def product(rows):
        out = np.full((len(rows), n), 9, x.dtype)
        call("linear", out, rows, weight, bias, exact)
        return out

    whole = product(x)
    for count in ROWS:
        for first in (0, len(x) - count):
            alone = product(x[first : first + count])
            np.testing.assert_array_equal(bits(alone), bits(whole[first : first + count]))


@pytest.mark.parametrize("name", sorted(BLOCKS.keys() - {"f8e4m3_128"}))
def test_rows_of_rounded_activations(call, rng, threads, name):
    for n, blocks in [(1, 1), (9, 3), (37, 11)]:
        weight = block_weight(rng, name, n, blocks)
        x = rng.normal(size=(130, weight.shape[1])).astype(np.float32)
        x[5] = 0
        check_rows(call, x, weight, rng.normal(size=n).astype(np.float32), 0)
    check_rows(call, x.astype(np.float16), weight, None, 0)
