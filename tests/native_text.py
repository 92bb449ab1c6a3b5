"""The tokenizers of csrc/text, called through ctypes from the library of `make runtime`."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import struct
from pathlib import Path
from typing import Any

from runtime_build import built

SIZE = ctypes.c_size_t
OUT = ctypes.POINTER(SIZE)


def library_path(sanitizer: str = "") -> Path:
    """The library, compiled if its sources have changed."""
    return built("tallow_text", sanitizer) / "libtallow_text.so"


@functools.cache
def library() -> ctypes.CDLL:
    """The library with the types of its functions."""
    given = os.environ.get("TALLOW_TEXT_LIBRARY")  # under a sanitizer
    found = ctypes.CDLL(given or str(library_path()))
    pointer, error = ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p)
    for name, result, *arguments in (
        ("open", pointer, ctypes.c_char_p, SIZE, error),
        ("close", None, pointer),
        ("free", None, pointer),
        ("encode", pointer, pointer, ctypes.c_char_p, SIZE, ctypes.c_int, ctypes.c_int, OUT, error),
        ("decode", pointer, pointer, pointer, SIZE, ctypes.c_int, OUT),
        ("stream", pointer, pointer, pointer, SIZE, ctypes.c_int, OUT),
        (
            "row",
            pointer,
            pointer,
            ctypes.c_char_p,
            SIZE,
            ctypes.c_char_p,
            SIZE,
            ctypes.c_uint32,
            OUT,
            error,
        ),
        ("chat", pointer, pointer, ctypes.c_char_p, SIZE, ctypes.c_int, OUT, error),
        ("numbers", pointer, ctypes.c_char_p, SIZE, OUT, OUT, error),
        ("misread", ctypes.c_double, ctypes.c_char_p, SIZE),
        ("json", pointer, ctypes.c_char_p, SIZE, OUT, error),
        ("ends", ctypes.c_int, pointer, ctypes.c_uint32),
    ):
        function = getattr(found, f"tl_text_{name}")
        function.restype, function.argtypes = result, arguments
    return found


class NativeTokenizer:
    """A tokenizer of csrc/text over tables; ValueError with its text where it refuses."""

    def __init__(self, tables: bytes) -> None:
        self._library = library()
        self._tables = tables  # read in place
        error = ctypes.c_char_p()
        self._self = self._library.tl_text_open(tables, len(tables), ctypes.byref(error))
        if not self._self:
            raise ValueError((error.value or b"").decode())

    def __del__(self) -> None:
        if getattr(self, "_self", None):
            self._library.tl_text_close(self._self)

    def encode(
        self, text: str | bytes, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        count, error = SIZE(), ctypes.c_char_p()
        found = self._library.tl_text_encode(
            self._self, raw, len(raw), add_special, parse_special, ctypes.byref(count),
            ctypes.byref(error),
        )  # fmt: skip
        return self._ids(found, count, error)

    def chat(self, messages: list[dict[str, str]], answer: bool = True) -> list[int]:
        """The ids of a chat."""
        raw = json.dumps(messages).encode()
        count, error = SIZE(), ctypes.c_char_p()
        found = self._library.tl_text_chat(
            self._self, raw, len(raw), answer, ctypes.byref(count), ctypes.byref(error)
        )
        return self._ids(found, count, error)

    def row(
        self, first: str, second: str | None = None, most: int = 0
    ) -> tuple[list[int], list[int]]:
        """Ids and types of a row of one text or two."""
        raw, other = first.encode(), None if second is None else second.encode()
        count, error = SIZE(), ctypes.c_char_p()
        found = self._library.tl_text_row(
            self._self, raw, len(raw), other, len(other or b""), most, ctypes.byref(count),
            ctypes.byref(error),
        )  # fmt: skip
        both = SIZE(2 * count.value)
        numbers = self._ids(found, both, error)
        return numbers[: count.value], numbers[count.value :]

    def _ids(self, found: int, count: ctypes.c_size_t, error: ctypes.c_char_p) -> list[int]:
        if error.value:
            raise ValueError(error.value.decode())
        ids = list((ctypes.c_uint32 * count.value).from_address(found))
        self._library.tl_text_free(found)
        return ids

    def _text(self, name: str, ids: list[int], skip_special: bool) -> str:
        numbers, size = (ctypes.c_uint32 * len(ids))(*ids), SIZE()
        run = getattr(self._library, f"tl_text_{name}")
        found = run(self._self, numbers, len(ids), skip_special, ctypes.byref(size))
        raw = ctypes.string_at(found, size.value)
        self._library.tl_text_free(found)
        return raw.decode()

    def decode(self, ids: list[int], skip_special: bool = True) -> str:
        return self._text("decode", ids, skip_special)

    def stream(self, ids: list[int], skip_special: bool = True) -> list[str]:
        """What each id gives, and what the end gives."""
        return self._text("stream", ids, skip_special).split("\0")

    def ends(self, index: int) -> bool:
        return bool(self._library.tl_text_ends(self._self, index))


def read_numbers(text: bytes) -> tuple[list[int], list[float]]:
    """Shape and numbers of nested JSON lists; ValueError where they are none."""
    count, depth, error = SIZE(), SIZE(), ctypes.c_char_p()
    found = library().tl_text_numbers(
        text, len(text), ctypes.byref(count), ctypes.byref(depth), ctypes.byref(error)
    )
    if error.value:
        raise ValueError(error.value.decode())
    numbers = list((ctypes.c_double * count.value).from_address(found))
    library().tl_text_free(found)
    return [int(size) for size in numbers[: depth.value]], numbers[depth.value :]


def misread(text: bytes) -> float:
    """The sum of what all values say that are asked for what they are not; see shared.cpp."""
    found: float = library().tl_text_misread(text, len(text))
    return found


def read_json(text: bytes) -> Any:
    """A document as csrc/text reads it; ValueError with what was expected and where."""
    size, error = SIZE(), ctypes.c_char_p()
    found = library().tl_text_json(text, len(text), ctypes.byref(size), ctypes.byref(error))
    if error.value:
        raise ValueError(f"{error.value.decode()} at byte {size.value}")
    raw = ctypes.string_at(found, size.value)
    library().tl_text_free(found)
    return _Values(raw).value()


class _Values:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def _take(self, count: int) -> bytes:
        found, self._raw = self._raw[:count], self._raw[count:]
        return found

    def value(self) -> Any:
        kind = self._take(1)
        if kind in b"ntf":
            return {b"n": None, b"t": True, b"f": False}[kind]
        if kind in b"id":
            number = struct.unpack("<d", self._take(8))[0]
            return int(number) if kind == b"i" else number
        count = struct.unpack("<I", self._take(4))[0]
        if kind == b"s":
            return self._take(count).decode()
        if kind == b"a":
            return [self.value() for _ in range(count)]
        return {self.value(): self.value() for _ in range(count)}
