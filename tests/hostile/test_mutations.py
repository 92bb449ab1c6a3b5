"""Mutants of small valid files: each is read in full or gives `FormatError`, in bounded memory."""

import importlib.util
import random
import struct
import tracemalloc
from pathlib import Path

import pytest

from tallow.errors import FormatError
from tallow.formats.gguf import open_gguf
from tallow.formats.safetensors import open_safetensors

HERE = Path(__file__).resolve().parent
MUTANTS = 10_000  # a format
INTERESTING = [0, 1, 2, 4, 7, 8, 9, 12, 13, 31, 32, 2**16, 2**31, 2**32 - 1, 2**40, 2**60, 2**61]
INTERESTING += [2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1]
NUMBERS = [b"0", b"-1", b"1", b"9" * 19, b"18446744073709551615", b"18446744073709551616", b"1e9"]
NUMBERS += [b"1.5", b"null", b"[]", b"{}", b'""', b"true", b"NaN", b"-0", b"00", b'"\\ud800"']


def load_script():
    spec = importlib.util.spec_from_file_location("make_corpus", HERE / "make_corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()


def flip_bit(raw, rng):
    at = rng.randrange(len(raw))
    raw[at] ^= 1 << rng.randrange(8)


def set_byte(raw, rng):
    raw[rng.randrange(len(raw))] = rng.choice((0, 1, 9, 34, 44, 91, 92, 93, 123, 125, 127, 255))


def truncate(raw, rng):
    del raw[rng.randrange(len(raw)) :]


def set_integer(raw, rng):
    size = rng.choice((4, 8))
    at = rng.randrange(max(len(raw) - size, 1))
    raw[at : at + size] = struct.pack("<Q", rng.choice(INTERESTING))[:size]


def splice(raw, rng):
    start, end = sorted(rng.randrange(len(raw)) for _ in range(2))
    at = rng.randrange(len(raw))
    raw[at : at + rng.choice((0, end - start))] = raw[start:end]


def remove(raw, rng):
    at = rng.randrange(len(raw))
    del raw[at : at + rng.randrange(1, 16)]


def set_number(raw, rng):
    """Replace a decimal number of a JSON header, keeping the header's stated length right."""
    digits = [at for at in range(8, len(raw)) if 48 <= raw[at] <= 57]
    if digits:
        at = rng.choice(digits)
        new = rng.choice(NUMBERS)
        raw[at : at + 1] = new
        length = struct.unpack_from("<Q", raw)[0] + len(new) - 1
        raw[:8] = struct.pack("<Q", length % 2**64)


MUTATIONS = [flip_bit, set_byte, truncate, set_integer, splice, remove]


def read_all(opener, path):
    """What a caller can reach: every metadata value and every byte of every tensor."""
    with opener(path) as file:
        size = path.stat().st_size
        for value in file.metadata.values():
            repr(value)
        for name, info in file.tensors.items():
            assert 0 <= info.offset <= info.offset + info.nbytes <= size
            assert len(bytes(file.data(name))) == info.nbytes
            assert repr(info)
        assert sum(info.nbytes for info in file.tensors.values()) <= size


def outcome(opener, path):
    """The error that reading gives, or None; anything but a `FormatError` passes through."""
    try:
        read_all(opener, path)
    except FormatError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opener", "raw", "mutations"),
    [
        (open_gguf, SCRIPT.VALID_GGUF, MUTATIONS),
        (open_safetensors, SCRIPT.VALID_SAFETENSORS, [*MUTATIONS, set_number, set_number]),
    ],
    ids=["gguf", "safetensors"],
)
def test_mutants_are_read_or_refused(tmp_path, opener, raw, mutations):
    rng = random.Random(20240229)
    path = tmp_path / "mutant"
    accepted = 0
    tracemalloc.start()
    try:
        for number in range(MUTANTS):
            mutant = bytearray(raw)
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                if mutant:
                    rng.choice(mutations)(mutant, rng)
            path.write_bytes(mutant)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                error = outcome(opener, path)
            except Exception as error:
                error.add_note(f"mutant {number}: {bytes(mutant)!r}")
                raise
            accepted += error is None
            assert error is None or str(path) in str(error)
            grown = tracemalloc.get_traced_memory()[1] - before
            assert grown < 500_000, f"mutant {number} took {grown} bytes: {bytes(mutant)!r}"
    finally:
        tracemalloc.stop()
    assert 100 < accepted < MUTANTS - 1000, "the mutations reach both outcomes"
