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

MAX_DEPTH: Final = 100  # messages in messages, as in protobuf itself
MAX_VALUES: Final = 1 << 26  # of all messages in one file

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)


class Field(NamedTuple):
    """A field of a message: `kind` is the name of a scalar type, or the message that it holds.

    `bytes` are given as views of the file, a message too if it is `lazy`. A `repeated` number may
    be packed or not; it is given as an array or a view with the elements' own format, and one of a
    varint type as an array.
    """

    name: str
    kind: str | Message
    repeated: bool = False
    lazy: bool = False


class Message:
    """The fields of a kind of message by their numbers; others in a file are skipped.

    Fields may be added until the first message is read, for messages that hold one another.
    """

    __slots__ = ("_actions", "fields", "name")

    def __init__(self, name: str, fields: Mapping[int, Field]) -> None:
        self.name, self.fields = name, fields
        self._actions: dict[int, tuple[int, Field, str, Any]] = {}

    @property
    def actions(self) -> dict[int, tuple[int, Field, str, Any]]:
        """For each tag of a field: what is done, the field, its name, and what that needs."""
        if not self._actions:
            for number, field in self.fields.items():
                self._actions.update(_actions_of(number, field))
        return self._actions


Record = dict[str, Any]

_U64: Final = (1 << 64) - 1


def _signed(bits: int) -> Any:
    half, whole = 1 << (bits - 1), 1 << bits
    return lambda value: ((value & (whole - 1)) ^ half) - half


# How a varint's 64 bits become a value, and the format of an array of such values.
_CONVERSIONS: Final[Mapping[str, tuple[Any, str]]] = {
    "int32": (_signed(32), "i"),
    "enum": (_signed(32), "i"),
    "int64": (_signed(64), "q"),
    "uint32": (lambda value: value & 0xFFFFFFFF, "I"),
    "uint64": (lambda value: value, "Q"),
    "sint32": (lambda value: ((value & 0xFFFFFFFF) >> 1) ^ -(value & 1), "i"),
    "sint64": (lambda value: (value >> 1) ^ -(value & 1), "q"),
    "bool": (bool, "B"),
}
# The same, and the values of numbers of one byte.
_VARINTS: Final[Mapping[str, tuple[Any, str, list[Any]]]] = {
    kind: (convert, code, [convert(value) for value in range(0x80)])
    for kind, (convert, code) in _CONVERSIONS.items()
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
_PART: Final = 1 << 16  # bytes of a message that is copied to be read: bytes are faster than views

# What is done with a field by its tag; those up to PACKED have a length.
_TEXT, _MESSAGE, _BYTES, _PACKED, _VARINT, _FIXED_SIZE = range(6)


def _actions_of(number: int, field: Field) -> dict[int, tuple[int, Field, str, Any]]:
    """The tags by which a field may come; with any other wire type it is an unknown one."""
    sized, kind = number << 3 | LENGTH, field.kind
    if isinstance(kind, Message):
        action = (_BYTES, field, field.name, None) if field.lazy else None
        return {sized: action or (_MESSAGE, field, field.name, kind)}
    if kind in ("string", "bytes"):
        return {sized: (_TEXT if kind == "string" else _BYTES, field, field.name, None)}
    found: dict[int, tuple[int, Field, str, Any]] = {}
    if field.repeated:
        found[sized] = (_PACKED, field, field.name, kind)
    if kind in _FIXED:
        found[number << 3 | _FIXED[kind][0]] = (_FIXED_SIZE, field, field.name, _FIXED[kind])
    else:
        found[number << 3 | VARINT] = (_VARINT, field, field.name, _VARINTS[kind])
    return found


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
        self._path = path
        self._view = memoryview(data).toreadonly()
        self._data = data if isinstance(data, bytes) else self._view
        self._base = 0  # where `_data`, a copy of a part of the file, begins
        self._values = MAX_VALUES

    def fail(self, where: str, at: int, expected: object, got: object) -> FormatError:
        return FormatError(self._path, f"{where} at byte {self._base + at}", expected, got)

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
        data, known = self._data, message.actions.get
        value: Any
        while at < end:
            start, tag = at, data[at]
            at += 1
            if tag >= 0x80:
                if at < end and data[at] < 0x80:
                    tag = tag & 0x7F | data[at] << 7
                    at += 1
                else:
                    tag, at = self.varint(start, end, message.name)
            row = known(tag)
            if row is None:
                at = self._skip(message, tag, start, at, end, depth)
                continue
            action, field, name, extra = row
            if action <= _PACKED:
                size = data[at] if at < end else 0x80
                at += 1
                if size >= 0x80:
                    if at < end and data[at] < 0x80:
                        size = size & 0x7F | data[at] << 7
                        at += 1
                    else:
                        size, at = self.varint(at - 1, end, self._where(message, field))
                stop = at + size
                if stop > end:
                    where = self._where(message, field)
                    raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
                if action == _TEXT:
                    try:
                        value = str(data[at:stop], "utf-8")
                    except UnicodeDecodeError:
                        raise self._no_text(message, field, at, stop) from None
                elif action == _MESSAGE:
                    held = {} if field.repeated else into.get(name) or {}
                    value = self._message(extra, at, stop, depth + 1, held)
                elif action == _BYTES:
                    value = self._view[self._base + at : self._base + stop]
                else:
                    self._packed(field, extra, message, at, stop, into)
                    at = stop
                    continue
                at = stop
                if not field.repeated:
                    into[name] = value
                    continue
                self._values -= 1
                if self._values < 0:
                    self._spend(0, self._where(message, field), start)
                values = into.get(name)
                if values is None:
                    into[name] = [value]
                else:
                    values.append(value)
            elif action == _VARINT:
                value = data[at] if at < end else 0x80
                at += 1
                if value < 0x80:
                    value = extra[2][value]
                else:
                    value, at = self.varint(at - 1, end, self._where(message, field))
                    value = extra[0](value)
                if field.repeated:
                    self._put(field, value, extra[1], message, start, into)
                else:
                    into[name] = value
            else:
                size = _SIZES[extra[0]]
                if size > end - at:
                    where = self._where(message, field)
                    raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
                (value,) = extra[1].unpack_from(data, at)
                at += size
                if field.repeated:
                    self._put(field, value, extra[1].format[-1], message, start, into)
                else:
                    into[name] = value
        return into

    def _message(self, message: Message, at: int, end: int, depth: int, into: Record) -> Record:
        """A message in another, of a copy if it is small and that has not been made yet."""
        if self._data is not self._view or end - at > _PART:
            return self.message(message, at, end, depth, into)
        self._data, self._base = bytes(self._view[at:end]), at
        self.message(message, 0, end - at, depth, into)
        self._data, self._base = self._view, 0
        return into

    def _where(self, message: Message, field: Field) -> str:
        return f"{message.name}.{field.name}"

    def _no_text(self, message: Message, field: Field, at: int, stop: int) -> FormatError:
        raw = shown(bytes(self._data[at : min(stop, at + 60)]))
        return self.fail(self._where(message, field), at, "UTF-8", raw)

    def _skip(self, message: Message, tag: int, start: int, at: int, end: int, depth: int) -> int:
        """Where a field ends that is unknown, or of another wire type than it should be."""
        number, wire = tag >> 3, tag & 7
        if not number or wire > FIXED32 or wire == GROUP_END or tag > 0xFFFFFFFF:
            raise self.fail(message.name, start, "a field of protobuf", f"the tag {tag}")
        field = message.fields.get(number)
        where = message.name if field is None else self._where(message, field)
        if wire == VARINT:
            return self.varint(at, end, where)[1]
        if wire == GROUP:
            return self._skip_group(number, at, end, depth + 1, where)
        size = _SIZES.get(wire, 0)
        if wire == LENGTH:
            size, at = self.varint(at, end, where)
        if size > end - at:
            raise self.fail(where, at, f"{size} bytes", f"{end - at} bytes left")
        return at + size

    def _put(
        self, field: Field, value: Any, code: str, message: Message, at: int, into: Record
    ) -> None:
        """Append to a repeated number that is not packed."""
        self._values -= 1
        if self._values < 0:
            self._spend(0, self._where(message, field), at)
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

    def _packed(
        self, field: Field, kind: str, message: Message, at: int, stop: int, into: Record
    ) -> None:
        if kind in _FIXED:
            wire, form = _FIXED[kind]
            size = _SIZES[wire]
            code: Any = form.format[-1]
            if (stop - at) % size:
                where = self._where(message, field)
                raise self.fail(where, at, f"numbers of {size} bytes", f"{stop - at} bytes")
            if field.name not in into:
                base = self._base
                into[field.name] = self._view[base + at : base + stop].cast(code)
            else:
                self._array(field, code, into).frombytes(self._data[at:stop])
            return
        convert, code, small = _VARINTS[kind]
        found = self._array(field, code, into)
        data = self._data
        while at < stop:
            value = data[at]
            if value < 0x80:
                found.append(small[value])
                at += 1
            else:
                value, at = self.varint(at, stop, self._where(message, field))
                found.append(convert(value))
            self._values -= 1
            if self._values < 0:
                self._spend(0, self._where(message, field), at)

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
