"""Builds `precompiled_charsmap`: SentencePiece's map of texts as a Darts double array."""

from __future__ import annotations

import struct
from collections.abc import Mapping

LEAF = 1 << 31
HAS_LEAF = 1 << 8


def charsmap(rules: Mapping[str, str]) -> bytes:
    """The map that replaces each key by its value, as the longest or the first match finds it.

    Source: darts-clone's unit (label in the low byte, offset from bit 10 on, XOR addressing), and
    sentencepiece's layout (size of the array, array, values ended by NUL).
    """
    values, starts = b"", {}
    for text, value in rules.items():
        starts[text.encode()] = len(values)
        values += value.encode() + b"\0"
    units, used = {0: 0}, {0}

    def place(position: int, prefix: bytes) -> None:
        below = sorted({key[len(prefix)] for key in starts if key[: len(prefix)] == prefix != key})
        ends = prefix in starts
        labels = [*([0] if ends else []), *below]
        offset = 1
        while any(position ^ offset ^ label in used for label in labels):
            offset += 1
        used.update(position ^ offset ^ label for label in labels)
        units[position] |= offset << 10 | (HAS_LEAF if ends else 0)
        if ends:
            units[position ^ offset] = LEAF | starts[prefix]
        for label in below:
            units[position ^ offset ^ label] = label
            place(position ^ offset ^ label, prefix + bytes([label]))

    place(0, b"")
    size = (max(units) | 0xFF) + 1  # readers look up any byte without asking for the end
    array = struct.pack(f"<{size}I", *[units.get(i, 0) for i in range(size)])
    return struct.pack("<I", len(array)) + array + values
