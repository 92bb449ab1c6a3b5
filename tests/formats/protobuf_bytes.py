"""Protobuf's wire format written by hand: fields with any number, type and length."""

from __future__ import annotations

import struct


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def number(field: int, value: int) -> bytes:
    return tag(field, 0) + varint(value)


def sized(field: int, raw: bytes | str, length: int | None = None) -> bytes:
    raw = raw.encode() if isinstance(raw, str) else raw
    return tag(field, 2) + varint(len(raw) if length is None else length) + raw


def single(field: int, value: float) -> bytes:
    return tag(field, 5) + struct.pack("<f", value)


def double(field: int, value: float) -> bytes:
    return tag(field, 1) + struct.pack("<d", value)


def piece(text: str | bytes, score: float = 0.0, kind: int | None = None) -> bytes:
    """A piece of a SentencePiece model."""
    raw = sized(1, text) + single(2, score) + (b"" if kind is None else number(3, kind))
    return sized(1, raw)
