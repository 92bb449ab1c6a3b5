"""The file that the loopback server serves, and where each tensor lies in it."""

import json
import struct

import numpy as np
from safetensors.numpy import save

RNG = np.random.default_rng(5)
ARRAYS = {
    "a": RNG.standard_normal((6, 4)).astype(np.float32),
    "b": RNG.standard_normal(300_000).astype(np.float16),
    "c": RNG.integers(0, 100, (2, 3, 5)),
    "empty": np.zeros((0, 3), np.float32),
}
FILE = save(ARRAYS, {"format": "pt"})


def offsets(raw):
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: [8 + length + at for at in entry["data_offsets"]] for name, entry in header.items()
    }
