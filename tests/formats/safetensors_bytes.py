"""Safetensors files made byte by byte, and whether the official package and ours take them."""

import json
import struct

import numpy as np
import safetensors

from tallow.errors import FormatError
from tallow.formats.safetensors import DTYPES, open_safetensors

NUMPY = {
    "bool": np.bool_,
    "u8": np.uint8,
    "i8": np.int8,
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "u64": np.uint64,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}


def arrays():
    rng = np.random.default_rng(0)
    made = {f"{n}.weight": rng.integers(0, 2, (3, 4)).astype(t) for n, t in NUMPY.items()}
    return made | {"scalar": np.asarray(2.5, np.float32), "empty": np.zeros((0, 3), np.float16)}


def build(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype, shape, begin, end, **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def ours_accepts(source):
    try:
        open_safetensors(source).close()
    except FormatError:
        return False
    return True


def official_accepts(raw):
    try:
        safetensors.deserialize(raw)
    except safetensors.SafetensorError:
        return False
    return True


def theirs(info):
    return next(name for name, row in DTYPES.items() if row.ours == info.dtype)
