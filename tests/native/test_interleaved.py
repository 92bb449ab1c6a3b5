"""Weights with rows interleaved beside the rows themselves: products have the same bits."""

import mmap
import subprocess
import threading

import numpy as np
import pytest

from alone import PYTHON
from native.blocks import BLOCKS, random_blocks
from native.calls import environment
from tallow import _native
from tallow.errors import ArgumentError

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
FORMATS = ("q4_0", "q4_1", "q8_0")
ROWS = (*range(1, 18), 33, 512)
SHAPES = [(1, 1), (7, 3), (8, 2), (9, 4), (16, 1), (21, 11), (40, 18), (100, 5)]
# A set of kernels without this form reads the rows.
interleaves = pytest.mark.skipif(
    "interleave" not in dict(_native.kernel_names()), reason="vectors too short for it"
)


def matrix(rng, name, n, blocks, random=random_blocks):
    """Any weights, in read-only memory."""
    data = random(rng, name, n, blocks).tobytes()
    shape = (n, blocks * BLOCKS[name][0])
    return _native.Array.from_buffer(data, CODES[name], shape, 0)


def second_form(weight):
    size = _native.interleaved_bytes(weight)
    memory = mmap.mmap(-1, size)
    _native.call("interleave", _native.Array.from_buffer(memory, CODES["u8"], (size,), 0), weight)
    frozen = memoryview(memory).toreadonly()
    return _native.Array.from_buffer(frozen, CODES["u8"], (size,), 0)


def interleaved(weight):
    return _native.with_interleaved(weight, second_form(weight))


def again(weight):
    """The same weights elsewhere in memory."""
    return _native.Array.from_buffer(weight.raw_bytes(), weight.dtype, weight.shape, 0)


def product(call, x, weight, bias=None):
    out = np.full((len(x), weight.shape[0]), 9, x.dtype)
    call("linear", out, x, weight, bias, 0)
    return out


def same(a, b):
    np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))


@interleaves
@pytest.mark.parametrize("name", FORMATS)
def test_products_have_the_bits_of_plain_rows(call, rng, name):
    for n, blocks in SHAPES:
        plain = matrix(rng, name, n, blocks)
        other = interleaved(again(plain))
        x = rng.normal(size=(512, plain.shape[1])).astype(np.float32)
        x[3] = 0
        x[4, 0] = np.inf
        bias = rng.normal(size=n).astype(np.float32)
        for m in ROWS:
            same(product(call, x[:m], other, bias), product(call, x[:m], plain, bias))
        half = x[:6].astype(np.float16)
        same(product(call, half, other), product(call, half, plain))


# On the other sets of kernels that this processor runs.
@interleaves
@pytest.mark.parametrize("isa", [isa for isa in _native.ISAS if isa != _native.ISA])
def test_products_by_other_sets_of_kernels(isa):
    script = (
        "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]))"
    )
    command = [*PYTHON, "-c", script, f"{__file__}::{products.__name__}"]
    run = subprocess.run(command, env=environment(TALLOW_ISA=isa), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:]


products = test_products_have_the_bits_of_plain_rows


@interleaves
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("m", [1, 3, 40])
def test_several_weights_of_one_call(call, rng, name, m):
    """Those with the second form and those without it."""
    plain = [matrix(rng, name, n, 3) for n in (16, 5, 27)]
    x = rng.normal(size=(m, 96)).astype(np.float32)
    weights = [interleaved(again(plain[0])), plain[1], interleaved(again(plain[2]))]
    outs = [np.zeros((m, w.shape[0]), np.float32) for w in plain]
    call("linear_several", *outs, x, *weights, None, None, None, 0)
    for out, w in zip(outs, plain, strict=True):
        same(out, product(call, x, w))


@interleaves
@pytest.mark.parametrize("name", FORMATS)
def test_ends_of_products(call, rng, name):
    plain = matrix(rng, name, 21, 3)
    weight, bias = interleaved(again(plain)), rng.normal(size=21).astype(np.float32)
    for m in (1, 4, 20):
        x = rng.normal(size=(m, 96)).astype(np.float32)
        residual = rng.normal(size=(m, 21)).astype(np.float32)
        found, wanted = np.zeros_like(residual), np.zeros_like(residual)
        call("linear_act", found, x, weight, bias, residual, 1, 0)
        call("linear_act", wanted, x, plain, bias, residual, 1, 0)
        same(found, wanted)


@interleaves
def test_it_is_read_by_products_with_rounded_activations_alone(call, rng):
    """A second form that says something else shows who reads it."""
    plain, other = matrix(rng, "q4_0", 16, 2), matrix(rng, "q4_0", 16, 2)
    weight = _native.with_interleaved(again(plain), second_form(other))
    x = rng.normal(size=(3, 64)).astype(np.float32)
    for m in (1, 2, 3):
        same(product(call, x[:m], weight), product(call, x[:m], other))
    many = rng.normal(size=(64, 64)).astype(np.float32)
    same(product(call, many, weight), product(call, many, other))
    assert weight.raw_bytes() == plain.raw_bytes()
    exact, wanted = np.zeros((3, 16), np.float32), np.zeros((3, 16), np.float32)
    call("linear", exact, x, weight, None, 1)
    call("linear", wanted, x, plain, None, 1)
    same(exact, wanted)


@interleaves
def test_parts_of_a_weight(call, rng):
    plain, other = matrix(rng, "q8_0", 24, 2), matrix(rng, "q8_0", 24, 2)
    weight = _native.with_interleaved(again(plain), second_form(other))
    x = rng.normal(size=(2, 64)).astype(np.float32)
    first = product(call, x, weight.narrow(0, 0, 11))
    same(first, product(call, x, other.narrow(0, 0, 11)))
    for part in (weight.narrow(0, 8, 16), weight.narrow(1, 0, 32)):  # their rows
        start = 8 if part.shape[0] == 16 else 0
        want = plain.narrow(0, start, part.shape[0]).narrow(1, 0, part.shape[1])
        columns = np.ascontiguousarray(x[:, : part.shape[1]])
        same(product(call, columns, part), product(call, columns, want))


@interleaves
def test_a_weight_that_is_written_has_its_rows_alone(call, rng):
    plain, other = matrix(rng, "q4_1", 16, 2), matrix(rng, "q4_1", 16, 2)
    weight = interleaved(again(plain))
    x = rng.normal(size=(1, 64)).astype(np.float32)
    same(product(call, x, weight), product(call, x, plain))
    weight.copy_(other)
    same(product(call, x, weight), product(call, x, other))


@interleaves
def test_it_goes_with_the_last_array_on_the_weight(call, rng):
    """Others on the same memory have their rows, also while it goes."""
    plain, other = matrix(rng, "q4_0", 16, 8), matrix(rng, "q4_0", 16, 8)
    form = second_form(other)
    x = rng.normal(size=(1, 256)).astype(np.float32)
    wanted = [product(call, x, w).tobytes() for w in (plain, other)]
    base = again(plain)
    stop, wrong = threading.Event(), []

    def read():
        while not stop.is_set():
            if product(call, x, base).tobytes() not in wanted:
                wrong.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2000):
        made = _native.with_interleaved(base, form)
        del made
    stop.set()
    reader.join()
    assert not wrong
    assert product(call, x, base).tobytes() == wanted[0]


@interleaves
def test_many_weights(call, rng):
    plain = [matrix(rng, "q8_0", 8, 1) for _ in range(3000)]
    weights = [interleaved(again(w)) for w in plain]
    x = rng.normal(size=(1, 32)).astype(np.float32)
    del weights[::2]
    for a, b in zip(weights, plain[1::2], strict=True):
        same(product(call, x, a), product(call, x, b))


@interleaves
def test_what_is_no_weight_or_no_second_form_is_refused(rng):
    weight = matrix(rng, "q4_0", 9, 3)
    form = second_form(weight)
    writable = weight.clone()
    short = form.narrow(0, 0, form.size - 1)
    for bad in [(writable, form), (weight, short), (weight, form.clone()), (form, form),
                (matrix(rng, "q4_0", 9, 4), form), (weight, weight)]:  # fmt: skip
        with pytest.raises(ArgumentError, match="with_interleaved: expected"):
            _native.with_interleaved(*bad)
    assert _native.interleaved_bytes(form) == 0
