"""Arrays and the bytes of their `.npy` files, as numpy makes them."""

import io

import numpy as np

KINDS = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8"]


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def sample(kind, shape=(3, 4), order="C"):
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 255, shape, np.uint8)
    array = (raw > 99) if kind == "?" else raw.astype(kind)
    return np.asarray(array, order=order)


def address(buffer):
    return np.frombuffer(buffer, np.uint8).ctypes.data
