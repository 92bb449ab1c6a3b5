"""The bytes of an IDX file."""

from __future__ import annotations

import struct


def idx(values: bytes, shape: tuple[int, ...], kind: int = 8) -> bytes:
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values
