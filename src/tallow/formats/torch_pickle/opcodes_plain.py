"""Opcodes of a pickle that push one plain value: a number, a text, bytes.

Source: Python's `pickletools` (the opcodes and their arguments), PEP 3154.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from tallow.formats.torch_pickle.machine import Machine
from tallow.formats.torch_pickle.values import described

_MAX_LONG: Final = 255  # bytes; Python refuses to print integers of more than 4300 digits

I32, U8, U16 = struct.Struct("<i"), struct.Struct("<B"), struct.Struct("<H")
U32, U64, F64 = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct(">d")

Step = Callable[[Machine], None]
STEPS: dict[int, Step] = {}


def step(code: str | int) -> Callable[[Step], Step]:
    """Enter a function as what an opcode does; its name is the opcode's in error texts."""

    def register(function: Step) -> Step:
        STEPS[ord(code) if isinstance(code, str) else code] = function
        return function

    return register


@step("N")
def _none(m: Machine) -> None:
    m.stack.append(None)


@step(0x88)
def _newtrue(m: Machine) -> None:
    m.stack.append(True)


@step(0x89)
def _newfalse(m: Machine) -> None:
    m.stack.append(False)


@step("J")
def _binint(m: Machine) -> None:
    m.stack.append(m.number(I32))


@step("K")
def _binint1(m: Machine) -> None:
    m.stack.append(m.number(U8))


@step("M")
def _binint2(m: Machine) -> None:
    m.stack.append(m.number(U16))


def _long(m: Machine, size: int) -> None:
    m.need(size <= _MAX_LONG, f"an integer of at most {_MAX_LONG} bytes", f"{size} bytes")
    m.stack.append(int.from_bytes(m.take(size), "little", signed=True))


@step(0x8A)
def _long1(m: Machine) -> None:
    _long(m, m.number(U8))


@step(0x8B)
def _long4(m: Machine) -> None:
    _long(m, m.number(U32))


def _digits(m: Machine, text: str) -> int:
    plain = text.removeprefix("-")
    m.check(plain.isascii() and plain.isdecimal() and len(plain) < 600, "a whole number", text)
    return int(text)


@step("I")
def _int(m: Machine) -> None:
    text = m.line()
    m.stack.append(text == "01" if text in ("00", "01") else _digits(m, text))


@step("L")
def _text_long(m: Machine) -> None:
    m.stack.append(_digits(m, m.line().removesuffix("L")))


@step("F")
def _float(m: Machine) -> None:
    text = m.line()
    try:
        m.stack.append(float(text))
    except ValueError:
        m.fail("a number", described(text))


@step("G")
def _binfloat(m: Machine) -> None:
    m.stack.append(m.number(F64))


# --- texts and bytes ------------------------------------------------------------------------------


@step("X")
def _binunicode(m: Machine) -> None:
    m.stack.append(m.text(m.take(m.number(U32))))


@step(0x8C)
def _short_binunicode(m: Machine) -> None:
    m.stack.append(m.text(m.take(m.number(U8))))


@step(0x8D)
def _binunicode8(m: Machine) -> None:
    m.stack.append(m.text(m.take(m.number(U64))))


def _python2_text(raw: bytes) -> str | bytes:
    """A `str` of Python 2 is text where it can be: that language had one type for both."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@step("U")
def _short_binstring(m: Machine) -> None:
    m.stack.append(_python2_text(bytes(m.take(m.number(U8)))))


@step("T")
def _binstring(m: Machine) -> None:
    size = m.number(I32)
    m.check(size >= 0, "a length", size)
    m.stack.append(_python2_text(bytes(m.take(size))))


@step("C")
def _short_binbytes(m: Machine) -> None:
    m.stack.append(bytes(m.take(m.number(U8))))


@step("B")
def _binbytes(m: Machine) -> None:
    m.stack.append(bytes(m.take(m.number(U32))))


@step(0x8E)
def _binbytes8(m: Machine) -> None:
    m.stack.append(bytes(m.take(m.number(U64))))


@step(0x96)
def _bytearray8(m: Machine) -> None:
    m.spend(56)
    m.stack.append(bytearray(m.take(m.number(U64))))
