"""ggml's own quantisation, through ctypes: libggml-base of llama.cpp or llama-cpp-python."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np

# Codes of ggml_type (ggml.h), bytes and elements of a block.
TYPES = {
    "q4_0": (2, 18, 32), "q4_1": (3, 20, 32), "q5_0": (6, 22, 32), "q5_1": (7, 24, 32),
    "q8_0": (8, 34, 32), "q8_1": (9, 36, 32), "q2_k": (10, 84, 256), "q3_k": (11, 110, 256),
    "q4_k": (12, 144, 256), "q5_k": (13, 176, 256), "q6_k": (14, 210, 256), "q8_k": (15, 292, 256),
    "iq2_xxs": (16, 66, 256), "iq2_xs": (17, 74, 256), "iq3_xxs": (18, 98, 256),
    "iq1_s": (19, 50, 256), "iq4_nl": (20, 18, 32), "iq3_s": (21, 110, 256),
    "iq2_s": (22, 82, 256), "iq4_xs": (23, 136, 256), "iq1_m": (29, 56, 256),
    "tq1_0": (34, 54, 256), "tq2_0": (35, 66, 256), "mxfp4": (39, 17, 32), "nvfp4": (40, 36, 64),
    "q1_0": (41, 18, 128), "q2_0": (42, 18, 64),
}  # fmt: skip
# What ggml quantises by a reference routine only, being activations; and what it does not
# quantise without an importance matrix: ones stand in for it.
ACTIVATIONS = ("q8_1", "q8_k")
NEED_IMPORTANCE = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs")


class Ggml:
    """The library at `path`; without one, `TALLOW_GGML` or what llama-cpp-python brings along."""

    def __init__(self, path: str | None = None) -> None:
        path = path or os.environ.get("TALLOW_GGML")
        if path is None:
            import llama_cpp

            path = str(next(Path(llama_cpp.__file__).parent.rglob("libggml-base.so*")))
        self.library = ctypes.CDLL(path)
        self.library.ggml_quantize_chunk.restype = ctypes.c_size_t

    def has(self, name: str) -> bool:
        """Whether the library is new enough to know the type."""
        return hasattr(self.library, self._row("dequantize", name)) or name == "q8_1"

    def quantize(self, name: str, x: np.ndarray, importance: np.ndarray | None = None) -> bytes:
        """The blocks of f32 `x` (rows, k)."""
        code, size, block = TYPES[name]
        rows, k = x.shape
        out = ctypes.create_string_buffer(rows * k // block * size)
        if name in ACTIVATIONS:
            run = getattr(self.library, f"{self._row('quantize', name)}_ref")
            run(ctypes.c_void_p(x.ctypes.data), out, ctypes.c_int64(x.size))
            return out.raw
        if importance is None and name in NEED_IMPORTANCE:
            importance = np.ones(k, np.float32)
        given = None if importance is None else ctypes.c_void_p(importance.ctypes.data)
        counts = [ctypes.c_int64(n) for n in (0, rows, k)]
        self.library.ggml_quantize_chunk(
            ctypes.c_int(code), ctypes.c_void_p(x.ctypes.data), out, *counts, given
        )
        return out.raw

    def dequantize(self, name: str, blocks: bytes, shape: tuple[int, int]) -> np.ndarray:
        """The f32 values of blocks."""
        out = np.empty(shape, np.float32)
        if name == "q8_1":  # only ever multiplied with; f16 d, f16 sum, 32 int8
            raw = np.frombuffer(blocks, np.uint8).reshape(-1, 36)
            scale = np.ascontiguousarray(raw[:, :2]).view(np.float16).astype(np.float32)
            return (scale * raw[:, 4:].view(np.int8)).reshape(shape).astype(np.float32)
        run = getattr(self.library, self._row("dequantize", name))
        run(blocks, ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(out.size))
        return out

    @staticmethod
    def _row(action: str, name: str) -> str:
        return f"{action}_row_{name.replace('_k', '_K')}"
