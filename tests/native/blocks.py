"""Block formats for tests: sizes, random but sane bytes, goldens, the rounding of activations."""

from pathlib import Path

import numpy as np

BLOCKS = {
    "q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24), "q8_0": (32, 34),
    "q8_1": (32, 36), "q2_k": (256, 84), "q3_k": (256, 110), "q4_k": (256, 144),
    "q5_k": (256, 176), "q6_k": (256, 210), "q8_k": (256, 292), "iq1_s": (256, 50),
    "iq1_m": (256, 56), "iq2_xxs": (256, 66), "iq2_xs": (256, 74), "iq2_s": (256, 82),
    "iq3_xxs": (256, 98), "iq3_s": (256, 110), "iq4_nl": (32, 18), "iq4_xs": (256, 136),
    "tq1_0": (256, 54), "tq2_0": (256, 66), "mxfp4": (32, 17), "nvfp4": (64, 36),
    "q1_0": (128, 18), "q2_0": (64, 18), "f8e4m3_128": (128, 132),
}  # fmt: skip
# What the gguf package cannot unpack.
PEERLESS = {"q8_1", "q8_k", "q1_0", "q2_0", "f8e4m3_128"}
GOLDENS = {"q8_k", "q1_0", "q2_0"}
# Where f16 scales stand in a block.
HALVES = {name: [0] for name in BLOCKS} | {
    "q4_1": [0, 2], "q5_1": [0, 2], "q8_1": [0, 2], "q4_k": [0, 2], "q5_k": [0, 2],
    "q2_k": [80, 82], "q3_k": [108], "q6_k": [208], "tq1_0": [52], "tq2_0": [64],
    "q8_k": [], "iq1_m": [], "mxfp4": [], "nvfp4": [], "f8e4m3_128": [],
}  # fmt: skip
FOLDER = Path(__file__).parents[1] / "golden" / "blocks"


def random_blocks(rng, name, n, blocks, data=None):
    """Any bytes (or `data`), with scales of a sane size; one row of bytes to a row of weights."""
    size = BLOCKS[name][1]
    if data is None:
        data = rng.integers(0, 256, (n, blocks * size), np.uint8)
    rows = data.reshape(n, blocks, size)

    def put(at, values):
        bytes_ = values.reshape(n, blocks, 1).view(np.uint8)
        rows[..., at : at + bytes_.shape[-1]] = bytes_

    def scales():
        return rng.normal(0, 0.02, (n, blocks)).astype(np.float32)

    for at in HALVES[name]:
        put(at, scales().astype(np.float16))
    if name in ("q8_k", "f8e4m3_128"):
        put(0, scales())
    if name == "f8e4m3_128":
        rows[..., 4:][rows[..., 4:] & 0x7F == 0x7F] = 0
    if name == "mxfp4":
        rows[..., 0] = rng.integers(118, 128, (n, blocks))
    if name == "iq1_m":  # its f16 is in the top nibbles of four u16
        half = scales().astype(np.float16).view(np.uint16)
        for i in range(4):
            top = (half >> 4 * i & 15).astype(np.uint8) << 4
            rows[..., 49 + 2 * i] = rows[..., 49 + 2 * i] & 15 | top
    return data


def golden(name):
    """Rows of bytes and their floats, made by tests/golden/make_blocks.py."""
    with np.load(FOLDER / "blocks.npz") as file:
        return file[f"{name}.bytes"], file[f"{name}.floats"]


def rounded(x):
    """`x` as the fast kernels see it: blocks of 32, each rounded by its own scale to -127 … 127."""
    blocks = np.asarray(x, np.float32).reshape(len(x), -1, 32)
    peak = np.abs(blocks).max(-1, keepdims=True)
    inverse = np.divide(np.float32(127), peak, out=np.zeros_like(peak), where=peak > 0)
    return (np.rint(blocks * inverse) * (peak / np.float32(127)).astype(np.float64)).reshape(
        x.shape
    )
