"""SentencePiece's map of characters: which texts are replaced by which others before encoding.

Source: sentencepiece's `normalizer.cc` (size of the array, array, texts ended by NUL), and the
units of darts-clone's double array: a label in the low byte, an offset from bit 10 on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from tallow.text.hf import check_charsmap

_LABEL: Final = 1 << 31 | 0xFF


class CharsMap:
    """Finds the texts of a map at a place of UTF-8; an empty map replaces nothing."""

    def __init__(self, raw: bytes) -> None:
        """ModelError where the array is not as long as it says."""
        size = 0
        if raw:
            check_charsmap(raw, "SentencePiece")
            size = int.from_bytes(raw[:4], "little")
        self._units = struct.unpack_from(f"<{size // 4}I", raw, 4) if size else ()
        self._texts = raw[4 + size :]

    def matches(self, data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
        """The length of each text of the map at a place, shortest first, and what replaces it."""
        units, texts = self._units, self._texts
        if not units:
            return
        place = _offset(units[0])
        for end in range(at, len(data)):
            place ^= data[end]
            if place >= len(units) or units[place] & _LABEL != data[end]:
                return
            unit = units[place]
            place ^= _offset(unit)
            if unit >> 8 & 1 and place < len(units):
                start = units[place] & 0x7FFFFFFF
                stop = texts.find(b"\0", start)
                yield end + 1 - at, texts[start : stop if stop >= 0 else len(texts)]


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 1 << 9) >> 6)
