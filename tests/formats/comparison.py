"""What the tests of the comparison of formats share: their register, arrays, measuring."""

import io
import mmap
import os
import re

import numpy as np

from alone import resident, run_alone

COUNT = 1 << 20  # float32 elements of a large array: 4 MiB
LARGE = 2**33  # bytes, beyond what 32 bits count
TOUCHED = 1 << 20  # bytes that a lazy reader may touch of a file of 64 MiB
CELLS = {}


def cell(row, column, verdict):
    """Register a test as what shows one cell of the table of docs/guide/formats.md."""

    def mark(test):
        expected = re.sub(r"\W+", "_", f"test_{row}_{column}".replace("'", "")).lower()
        assert test.__name__ == expected
        assert CELLS.setdefault((row, column), (test.__module__, verdict))[0] == test.__module__
        return test

    return mark


def f32(count=COUNT):
    return np.arange(count, dtype=np.float32)


class Counting(io.BytesIO):
    """A file that counts the bytes read of it."""

    def __init__(self, raw):
        super().__init__(raw)
        self.count = 0

    def read(self, size=-1):
        got = super().read(size)
        self.count += len(got)
        return got

    def readinto(self, space):
        got = super().readinto(space)
        self.count += got
        return got

    def readline(self, size=-1):
        got = super().readline(size)
        self.count += len(got)
        return got


def touched(file, reader, path):
    """Bytes that a `reader` of the program `file` touches, in a process without other tests."""
    return int(run_alone(file, reader, path))


def print_touched(readers, reader, path):
    """What such a program does: `with readers[reader](path) as x` reads x, the last of `f32(4)`."""
    before = resident()
    with readers[reader](path) as x:
        assert x == 3
        print(resident() - before)


def lies_in(array, buffer):
    """Whether an array's bytes are those of a buffer, not a copy of them."""
    whole = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    start = np.asarray(array).__array_interface__["data"][0]
    return whole <= start and start + np.asarray(array).nbytes <= whole + len(buffer)


def mapped(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def places(raw, count):
    """Where the arrays `f32(4) + i` stand in some bytes."""
    found = [raw.find((np.arange(4, dtype=np.float32) + 1000 + i).tobytes()) for i in range(count)]
    assert min(found) >= 0
    return found


def small(count=4):
    """Small arrays of different sizes under names of different lengths, found again by `places`."""
    return {
        "n" * (3 * i + 1): np.concatenate(
            [np.arange(4, dtype=np.float32) + 1000 + i, np.zeros(i, np.float32)]
        )
        for i in range(count)
    }


class Evil:
    """Unpickled, it calls what it likes; here something harmless that leaves a trace."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))
