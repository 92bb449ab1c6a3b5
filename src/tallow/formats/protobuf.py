"""Reads messages in protobuf's wire format by a table of their fields, trusting no length in them.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tallow.errors import FormatError
from tallow.formats.mapping import shown
from tallow.lazy_dataclasses import dataclass

MAX_DEPTH: Final = 64  # messages in messages; protobuf's own limit is 100
MAX_VALUES: Final = 1 << 26  # of all messages in one file

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)


class Field(NamedTuple):
    """A field of a message: `kind` is the name of a scalar type, or the message that it holds.

    `bytes` are given as views of the file. A `repeated` number may be packed or not; it is given as
    an array or a view with the elements' own format, and one of a varint type as an array.
    """

    name: str
    kind: str | Message
    repeated: bool = False


@dataclass(frozen=True, eq=False)
class Message:
    """The fields of a kind of message by their numbers; others in a file are skipped."""

    name: str
    fields: Mapping[int, Field]


Record = dict[str, Any]

_U64: Final = (1 << 64) - 1


def _signed(bits: int) -> Any:
    half, whole = 1 << (bits - 1), 1 << bits
    return lambda value: ((value & (whole - 1)) ^ half) - half


# How a varint's 64 bits become a value, and the format of an array of such values.
_VARINTS: Final[Mapping[str, tuple[Any, str]]] = {
    "int32": (_signed(32), "i"),
    "enum": (_signed(32), "i"),
    "int64": (_signed(64), "q"),
    "uint32": (lambda value: value & 0xFFFFFFFF, "I"),
    "uint64": (lambda value: value, "Q"),
    "sint32": (lambda value: ((value & 0xFFFFFFFF) >> 1) ^ -(value & 1), "i"),
    "sint64": (lambda value: (value >> 1) ^ -(value & 1), "q"),
    "bool": (bool, "B"),
}
_FIXED: Final[Mapping[str, tuple[int, struct.Struct]]] = {
    "float": (FIXED32, struct.Struct("<f")),
    "fixed32": (FIXED32, struct.Struct("<I")),
    "sfixed32": (FIXED32, struct.Struct("<i")),
    "double": (FIXED64, struct.Struct("<d")),
    "fixed64": (FIXED64, struct.Struct("<Q")),
    "sfixed64": (FIXED64, struct.Struct("<q")),
}
_SIZES: Final = {FIXED32: 4, FIXED64: 8}


def fixed(kind: str) -> tuple[int, struct.Struct] | None:
    """The wire type and layout of numbers of a fixed size, None for varints."""
    return _FIXED.get(kind)


def read_message(data: bytes | memoryview, message: Message, path: object) -> Record:
    """The fields of a message that are present, by name; a field that comes twice as protobuf does.

    The last of several scalars counts, messages are merged, repeated ones collected in lists.

    Raises:
        FormatError: the bytes are no such message; `path` and the field stand in it.
    """
    return _Reader(data, path).message(message, 0, len(data), 0, {})


class _Reader:
    def __init__(self, data: bytes | memoryview, path: object) -> None:
        self._data, self._path = data, path
        self._view = memoryview(data).toreadonly()
        self._values = MAX_VALUES

    def fail(self, where: str, at: int, expected: object, got: object) -> FormatError:
        return FormatError(self._path, f"{where} at byte {at}", expected, got)

    def varint(self, at: int, end: int, where: str) -> tuple[int, int]:
        """The number at a place of the file, and where it ends."""
        data, value, shift, start = self._data, 0, 0, at
        while at < end:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _U64, at
            shift += 7
            if shift >= 70:
                raise self.fail(where, start, "a number of at most 10 bytes", "a longer one")
        raise self.fail(where, start, "a number", f"the end at byte {end}")

    def message(self, message: Message, at: int, end: int, depth: int, into: Record) -> Record:
        """Read the message between two places into a record."""
        if depth > MAX_DEPTH:
            raise self.fail(
                message.name, at, f"at most {MAX_DEPTH} messages in one another", "more"
            )
        data, fields = self._data, message.fields
        while at < end:
            start, tag = at, data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = self.varint(at, end, message.name)
            number, wire = tag >> 3, tag & 7
            if not number or wire > FIXED32 or wire == GROUP_END or tag > 0xFFFFFFFF:
                raise self.fail(message.name, start, "a field of protobuf", f"the tag {tag}")
            field = fields.get(number)
            where = message.name if field is None else f"{message.name}.{field.name}"
            if wire == LENGTH:
                size = data[at] if at < end else 0x80
                if size < 0x80:
                    at += 1
                else:
                    size, at = self.varint(at, end, where)
                if size > end - at:
                    raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
                stop = at + size
                if field is not None:
                    self._sized(field, where, at, stop, depth, into)
                at = stop
            elif wire == VARINT:
                value, at = self.varint(at, end, where)
                if field is not None and field.kind in _VARINTS:
                    convert, code = _VARINTS[str(field.kind)]
                    self._put(field, convert(value), code, where, start, into)
            elif wire == GROUP:
                at = self._skip_group(number, at, end, depth + 1, where)
            else:
                size = _SIZES[wire]
                if size > end - at:
                    raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
                kind = _FIXED.get(str(field.kind)) if field is not None else None
                if field is not None and kind is not None and kind[0] == wire:
                    (found,) = kind[1].unpack_from(data, at)
                    self._put(field, found, kind[1].format[-1], where, start, into)
                at += size
        return into

    def _put(self, field: Field, value: Any, code: str, where: str, at: int, into: Record) -> None:
        if not field.repeated:
            into[field.name] = value
            return
        self._spend(1, where, at)
        self._array(field, code, into).append(value)

    def _array(self, field: Field, code: str, into: Record) -> array[Any]:
        """The array that collects a repeated number, made of what was one packed view so far."""
        known = into.get(field.name)
        if not isinstance(known, array):
            known = into[field.name] = array(code, b"" if known is None else bytes(known))
        return known

    def _spend(self, count: int, where: str, at: int) -> None:
        self._values -= count
        if self._values < 0:
            raise self.fail(where, at, f"at most {MAX_VALUES} values", "more")

    def _sized(
        self, field: Field, where: str, at: int, stop: int, depth: int, into: Record
    ) -> None:
        """Put what lies between two places into its field: a message, text, bytes, numbers."""
        kind, name = field.kind, field.name
        if isinstance(kind, str) and kind not in ("string", "bytes"):
            if field.repeated:
                self._packed(field, kind, where, at, stop, into)
            return  # a single number has no length: protobuf takes the field for an unknown one
        value: Any
        if isinstance(kind, Message):
            known = {} if field.repeated else into.get(name, {})
            value = self.message(kind, at, stop, depth + 1, known)
        elif kind == "bytes":
            value = self._view[at:stop]
        else:
            try:
                value = str(self._view[at:stop], "utf-8")
            except UnicodeDecodeError:
                raw = shown(bytes(self._view[at : min(stop, at + 60)]))
                raise self.fail(where, at, "UTF-8", raw) from None
        if field.repeated:
            self._spend(1, where, at)
            into.setdefault(name, []).append(value)
        else:
            into[name] = value

    def _packed(
        self, field: Field, kind: str, where: str, at: int, stop: int, into: Record
    ) -> None:
        if kind in _FIXED:
            wire, form = _FIXED[kind]
            size = _SIZES[wire]
            code: Any = form.format[-1]
            if (stop - at) % size:
                raise self.fail(where, at, f"numbers of {size} bytes", f"{stop - at} bytes")
            if field.name not in into:
                into[field.name] = self._view[at:stop].cast(code)
            else:
                self._array(field, code, into).frombytes(self._view[at:stop])
            return
        convert, code = _VARINTS[kind]
        found = self._array(field, code, into)
        while at < stop:
            self._spend(1, where, at)
            value, at = self.varint(at, stop, where)
            found.append(convert(value))

    def _skip_group(self, number: int, at: int, end: int, depth: int, where: str) -> int:
        """Where a group of the old kind ends, of which nothing is kept."""
        open_groups = [number]
        while open_groups:
            start = at
            tag, at = self.varint(at, end, where)
            number, wire = tag >> 3, tag & 7
            if wire == GROUP:
                open_groups.append(number)
                if depth + len(open_groups) > MAX_DEPTH:
                    raise self.fail(where, start, f"at most {MAX_DEPTH} groups", "more")
            elif wire == GROUP_END and number == open_groups[-1]:
                open_groups.pop()
            elif wire == VARINT:
                _, at = self.varint(at, end, where)
            elif wire in (FIXED32, FIXED64, LENGTH):
                size = _SIZES.get(wire, 0)
                if wire == LENGTH:
                    size, at = self.varint(at, end, where)
                if size > end - at:
                    raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
                at += size
            else:
                raise self.fail(where, start, f"the end of group {open_groups[-1]}", f"tag {tag}")
            if not number:
                raise self.fail(where, start, "a field of protobuf", "the number 0")
        return at
