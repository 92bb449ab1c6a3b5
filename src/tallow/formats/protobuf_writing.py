"""Writes messages in protobuf's wire format by the tables of fields that reading uses.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tallow.formats.protobuf import LENGTH, VARINT, Message, Record, fixed

LARGE: Final = 1 << 16  # bytes from which a view is passed on rather than copied
Chunk = bytes | bytearray | memoryview


class Chunks:
    """Bytes in pieces: small ones joined, views of much memory as they are."""

    def __init__(self) -> None:
        self.parts: list[Chunk] = []
        self.size = 0

    def add(self, part: Chunk) -> None:
        """Append bytes."""
        self.size += len(part)
        if len(part) >= LARGE:
            self.parts.append(part)
        elif self.parts and isinstance(self.parts[-1], bytearray):
            self.parts[-1] += part
        else:
            self.parts.append(bytearray(part))

    def extend(self, other: Chunks) -> None:
        """Append what other pieces hold."""
        for part in other.parts:
            self.add(part)


def varint(value: int) -> bytes:
    """A number in groups of 7 bits, the lowest first; a negative one by its 64 bits."""
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def encode_message(record: Record, message: Message) -> Chunks:
    """The bytes of a record: what has no value (None) or is an empty list is left out."""
    made = Chunks()
    for number, field in message.fields.items():
        value = record.get(field.name)
        if value is None:
            continue
        if isinstance(field.kind, Message):
            for each in value if field.repeated else (value,):
                _sized(made, number, encode_message(each, field.kind))
        elif field.kind in ("string", "bytes"):
            for each in value if field.repeated else (value,):
                _sized(made, number, _text(each))
        elif field.repeated:
            if len(value):
                _sized(made, number, _packed(value, field.kind))
        else:
            wire = VARINT if (form := fixed(field.kind)) is None else form[0]
            made.add(varint(number << 3 | wire) + _number(value, field.kind))
    return made


def _text(value: Any) -> Chunk:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _sized(made: Chunks, number: int, content: Chunks | Chunk) -> None:
    size = content.size if isinstance(content, Chunks) else len(content)
    made.add(varint(number << 3 | LENGTH) + varint(size))
    if isinstance(content, Chunks):
        made.extend(content)
    else:
        made.add(content)


def _number(value: Any, kind: str) -> bytes:
    form = fixed(kind)
    if form is not None:
        return form[1].pack(value)
    if kind in ("sint32", "sint64"):
        return varint(value << 1 if value >= 0 else ~(value << 1))
    return varint(int(value))


def _packed(values: Iterable[Any], kind: str) -> Chunk:
    """Numbers one after the other; what holds them as bytes already is lent."""
    form = fixed(kind)
    if form is not None and isinstance(values, memoryview) and values.format == form[1].format[-1]:
        return values.cast("B")
    return b"".join(_number(value, kind) for value in values)
