"""Writes tests/golden/blocks/blocks.npz: blocks and their floats by llama.cpp's own library.

For the formats that the gguf package does not unpack. Run with llama.cpp built as shared libraries:
python tests/golden/make_blocks.py …/libggml-base.so
Random bytes under scales of a sane size; two rows of two blocks to a format.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "native"))
from blocks import BLOCKS, FOLDER, GOLDENS, random_blocks

FUNCTIONS = {"q8_k": "q8_K", "q1_0": "q1_0", "q2_0": "q2_0"}


def main() -> None:
    ggml = ctypes.CDLL(sys.argv[1])
    rng = np.random.default_rng(11)
    arrays = {}
    for name in sorted(GOLDENS):
        block, _ = BLOCKS[name]
        data = random_blocks(rng, name, 2, 2)
        floats = np.zeros((2, 2 * block), np.float32)
        function = getattr(ggml, f"dequantize_row_{FUNCTIONS[name]}")
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        function.restype = None
        for row in range(2):
            function(data[row].ctypes.data, floats[row].ctypes.data, 2 * block)
        arrays |= {f"{name}.bytes": data, f"{name}.floats": floats}
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(FOLDER / "blocks.npz", **arrays)


if __name__ == "__main__":
    main()
