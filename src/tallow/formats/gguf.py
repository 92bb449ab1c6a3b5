"""GGUF, the format of llama.cpp: typed metadata, then tensor infos, then aligned tensor data.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and `src/gguf.cpp` there for what
llama.cpp refuses. Versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tallow import _native
from tallow.errors import FormatError
from tallow.formats.mapping import (
    MAX_INT64,
    FileMap,
    TensorFile,
    TensorInfo,
    element_count,
    shown,
)

MAGIC: Final = b"GGUF"
DEFAULT_ALIGNMENT: Final = 32
MAX_DIMS: Final = 4  # GGML_MAX_DIMS
MAX_NAME: Final = 2**16 - 1  # bytes in a metadata key; llama.cpp keeps tensor names below 64 or 128
MAX_NESTING: Final = 8  # arrays in arrays; the specification sets no limit, llama.cpp takes 1

_OLDER = {b"lmgg": "GGML", b"fmgg": "GGMF", b"tjgg": "GGJT", b"algg": "GGLA"}


class GGMLType(NamedTuple):
    """How ggml stores a tensor: `size` bytes for each `block` elements of a row."""

    name: str
    block: int
    size: int


# The ids of ggml.h, the sizes of ggml-common.h.
GGML_TYPES: Final[dict[int, GGMLType]] = {
    0: GGMLType("f32", 1, 4),
    1: GGMLType("f16", 1, 2),
    2: GGMLType("q4_0", 32, 18),
    3: GGMLType("q4_1", 32, 20),
    6: GGMLType("q5_0", 32, 22),
    7: GGMLType("q5_1", 32, 24),
    8: GGMLType("q8_0", 32, 34),
    9: GGMLType("q8_1", 32, 36),
    10: GGMLType("q2_k", 256, 84),
    11: GGMLType("q3_k", 256, 110),
    12: GGMLType("q4_k", 256, 144),
    13: GGMLType("q5_k", 256, 176),
    14: GGMLType("q6_k", 256, 210),
    15: GGMLType("q8_k", 256, 292),
    16: GGMLType("iq2_xxs", 256, 66),
    17: GGMLType("iq2_xs", 256, 74),
    18: GGMLType("iq3_xxs", 256, 98),
    19: GGMLType("iq1_s", 256, 50),
    20: GGMLType("iq4_nl", 32, 18),
    21: GGMLType("iq3_s", 256, 110),
    22: GGMLType("iq2_s", 256, 82),
    23: GGMLType("iq4_xs", 256, 136),
    24: GGMLType("i8", 1, 1),
    25: GGMLType("i16", 1, 2),
    26: GGMLType("i32", 1, 4),
    27: GGMLType("i64", 1, 8),
    28: GGMLType("f64", 1, 8),
    29: GGMLType("iq1_m", 256, 56),
    30: GGMLType("bf16", 1, 2),
    34: GGMLType("tq1_0", 256, 54),
    35: GGMLType("tq2_0", 256, 66),
    39: GGMLType("mxfp4", 32, 17),
    40: GGMLType("nvfp4", 64, 36),
    41: GGMLType("q1_0", 128, 18),
    42: GGMLType("q2_0", 64, 18),
}

# Ids that ggml has withdrawn: the numbers are never reused, the layouts are not read any more.
WITHDRAWN_TYPES: Final[dict[int, str]] = {
    4: "q4_2",
    5: "q4_3",
    31: "q4_0_4_4",
    32: "q4_0_4_8",
    33: "q4_0_8_8",
    36: "iq4_nl_4_4",
    37: "iq4_nl_4_8",
    38: "iq4_nl_8_8",
}

# Metadata value types: id → struct code; strings and arrays have a length in front.
_SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRUCTS: Final = {kind: struct.Struct("<" + code) for kind, code in _SCALARS.items()}
_UINT32, _BOOL, _STRING, _ARRAY = 4, 7, 8, 9
_U32, _U64 = struct.Struct("<I").unpack_from, struct.Struct("<Q").unpack_from


class _Cursor:
    """A position in the file; every step is checked against the bytes that are left."""

    __slots__ = ("at", "buffer", "path", "size", "where")

    def __init__(self, file: FileMap, at: int, where: str) -> None:
        self.path, self.buffer, self.size = file.path, file.check(file.size, where), file.size
        self.at, self.where = at, where

    def fail(self, field: str, expected: object, got: object) -> FormatError:
        return FormatError(self.path, f"{self.where} {field}".strip(), expected, got)

    def need(self, count: int, field: str) -> None:
        left = self.size - self.at
        if count > left:
            raise self.fail(field, f"{count} bytes at offset {self.at}", f"{left} bytes left")

    def take(self, count: int, field: str) -> int:
        """Step over `count` bytes and return where they begin."""
        self.need(count, field)
        start = self.at
        self.at = start + count
        return start

    def u32(self, field: str) -> int:
        value: int = _U32(self.buffer, self.take(4, field))[0]
        return value

    def u64(self, field: str) -> int:
        value: int = _U64(self.buffer, self.take(8, field))[0]
        return value

    def name(self, field: str) -> str:
        length = self.u64(f"{field} length")
        if length > MAX_NAME:
            raise self.fail(f"{field} length", f"at most {MAX_NAME} bytes", length)
        start = self.take(length, field)
        raw = self.buffer[start : self.at]
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.fail(field, "UTF-8", shown(raw)) from error

    def skip(self, kind: int) -> None:
        """Step over a value of type `kind`, checking every length in it."""
        if kind == _ARRAY:
            self.skip_array(1)
        elif kind == _STRING:
            self.take(self.u64("string length"), "string")
        elif kind in _STRUCTS:
            self.take(_STRUCTS[kind].size, "value")
        else:
            raise self.fail("value type", "0 to 12", kind)

    def array(self, depth: int) -> tuple[int, int]:
        """Read the head of an array: the type of its elements and how many bytes permit them."""
        kind, count = self.u32("array type"), self.u64("array length")
        smallest = {_STRING: 8, _ARRAY: 12}.get(kind) or (kind in _STRUCTS and _STRUCTS[kind].size)
        if not smallest:
            raise self.fail("array type", "0 to 12", kind)
        if kind == _ARRAY and depth >= MAX_NESTING:
            raise self.fail("array", f"at most {MAX_NESTING} arrays in each other", "more")
        self.need(count * smallest, f"array of {count}")
        return kind, count

    def skip_array(self, depth: int) -> None:
        kind, count = self.array(depth)
        if kind == _STRING:
            self.skip_strings(count)
        elif kind == _ARRAY:
            for _ in range(count):
                self.skip_array(depth + 1)
        else:
            self.at += count * _STRUCTS[kind].size

    def skip_strings(self, count: int) -> None:
        at = _native.skip_strings(self.buffer, self.at, count)
        if at < 0:
            raise self.fail(f"array of {count} strings", "strings within the file", "one beyond it")
        self.at = at

    def value(self, kind: int) -> Any:
        """Read a value of type `kind`; bytes that are not UTF-8 become surrogates."""
        if kind == _ARRAY:
            return self.values(1)
        if kind == _STRING:
            start = self.take(self.u64("string length"), "string")
            return self.buffer[start : self.at].decode("utf-8", "surrogateescape")
        if kind not in _STRUCTS:
            raise self.fail("value type", "0 to 12", kind)
        start = self.take(_STRUCTS[kind].size, "value")
        if kind == _BOOL:
            self.check_bools(start)
        return _STRUCTS[kind].unpack_from(self.buffer, start)[0]

    def values(self, depth: int) -> tuple[Any, ...]:
        kind, count = self.array(depth)
        if kind == _STRING:
            return self.strings(count)
        if kind == _ARRAY:
            return tuple([self.values(depth + 1) for _ in range(count)])
        start = self.take(count * _STRUCTS[kind].size, "array")
        if kind == _BOOL:
            self.check_bools(start)
        return struct.unpack_from(f"<{count}{_SCALARS[kind]}", self.buffer, start)

    def strings(self, count: int) -> tuple[str, ...]:
        start = self.at
        self.skip_strings(count)
        raw, texts, at = self.buffer[start : self.at], [], 0
        for _ in range(count):
            begin = at + 8
            at = begin + _U64(raw, at)[0]
            try:  # twice as fast as naming an error handler in each call
                texts.append(raw[begin:at].decode())
            except UnicodeDecodeError:
                texts.append(raw[begin:at].decode("utf-8", "surrogateescape"))
        return tuple(texts)

    def check_bools(self, start: int) -> None:
        odd = self.buffer[start : self.at].translate(None, b"\0\1")
        if odd:
            raise self.fail("bool", "0 or 1", odd[0])


class _Pending(NamedTuple):
    """A string or array that has been checked and stepped over but not decoded."""

    kind: int
    at: int


class Metadata(Mapping[str, Any]):
    """The metadata of a GGUF file by key; strings and arrays are decoded when first asked for.

    Numbers are `int` or `float`, flags `bool`, strings `str`, arrays `tuple` (also nested). Strings
    that are not UTF-8 (some vocabularies cut characters in two) keep their bytes as surrogates:
    `text.encode("utf-8", "surrogateescape")` gives them back. Decoding costs about 0.3 µs and
    60 bytes of memory a string, up to 36 bytes a number.

    Raises:
        ArgumentError: on access to a string or array that is not decoded yet, after closing.
        FormatError: a bool of an array is neither 0 nor 1, or the file was changed after opening.
    """

    __slots__ = ("_file", "_values")

    def __init__(self, file: FileMap, values: dict[str, Any]) -> None:
        self._file, self._values = file, values

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if isinstance(value, _Pending):
            cursor = _Cursor(self._file, value.at, f"metadata {shown(key)}")
            value = self._values[key] = cursor.value(value.kind)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return f"Metadata({len(self)} keys)"


class GGUFFile(TensorFile):
    """An open GGUF file: `.metadata`, `.tensors`, `.tensor(name)`, and `.version`, `.alignment`."""

    def __init__(
        self,
        file: FileMap,
        tensors: dict[str, TensorInfo],
        metadata: Metadata,
        version: int,
        alignment: int,
    ) -> None:
        super().__init__(file, tensors)
        self.metadata, self.version, self.alignment = metadata, version, alignment


def open_gguf(path: str | os.PathLike[str]) -> GGUFFile:
    """Open a GGUF file of version 2 or 3 by mapping it; no byte of a tensor is read.

    Everything else in the file is checked here: lengths, counts, types, names, alignment, that each
    tensor lies within the file, that no two overlap and that no key or tensor stands twice.

    Raises:
        FormatError: not a GGUF file, or of another version or byte order, or damaged.
    """
    file = FileMap(path)
    try:
        return _parse(file)
    except BaseException:
        file.close()
        raise


def _parse(file: FileMap) -> GGUFFile:
    cursor = _Cursor(file, 0, "")
    magic = cursor.buffer[:4]
    if magic != MAGIC:
        older = f", a {_OLDER[magic]} file, older than GGUF" if magic in _OLDER else ""
        raise cursor.fail("magic", MAGIC, f"{magic!r}{older}")
    cursor.at = 4
    version = cursor.u32("version")
    _check_version(cursor, version)
    tensor_count, key_count = cursor.u64("tensor count"), cursor.u64("metadata count")
    # Smallest entries: an infos' lengths, type and offset; a key of 1 byte, its type and 1 byte.
    cursor.need(tensor_count * 24, f"tensor count {tensor_count}")
    cursor.need(key_count * 14, f"metadata count {key_count}")
    values, alignment = _read_metadata(cursor, key_count)
    tensors = _read_infos(cursor, tensor_count, alignment)
    return GGUFFile(file, tensors, Metadata(file, values), version, alignment)


def _check_version(cursor: _Cursor, version: int) -> None:
    if version in (2, 3):
        return
    got = str(version)
    if version == 1:
        got = "1, an early version with 32-bit lengths; convert the file again with llama.cpp"
    elif version & 0xFFFF == 0 and version:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        got = f"version {swapped} in a big-endian file; convert it to little-endian"
    raise cursor.fail("version", "2 or 3, little-endian", got)


def _read_metadata(cursor: _Cursor, count: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    alignment = DEFAULT_ALIGNMENT
    for index in range(count):
        cursor.where = f"metadata {index}"
        key = cursor.name("key")
        if not key or key in values:
            raise cursor.fail("key", "a name not used before", shown(key))
        cursor.where = f"metadata {shown(key)}"
        kind = cursor.u32("value type")
        if kind in _STRUCTS:
            values[key] = cursor.value(kind)
        else:
            values[key] = _Pending(kind, cursor.at)
            cursor.skip(kind)
        if key == "general.alignment":
            alignment = values[key]
            if kind != _UINT32:
                raise cursor.fail("value type", f"{_UINT32} (u32)", kind)
            if alignment.bit_count() != 1:
                raise cursor.fail("value", "a power of two", alignment)
    return values, alignment


def _read_infos(cursor: _Cursor, count: int, alignment: int) -> dict[str, TensorInfo]:
    relative: dict[str, TensorInfo] = {}
    for index in range(count):
        cursor.where = f"tensor {index}"
        name = cursor.name("name")
        cursor.where = f"tensor {shown(name)}"
        if name in relative:
            raise cursor.fail("name", "a name not used before", "the same name twice")
        relative[name] = _read_info(cursor, name, alignment)
    data = -(-cursor.at // alignment) * alignment
    infos: dict[str, TensorInfo] = {}
    for name, info in relative.items():
        if info.offset + info.nbytes > cursor.size - data:
            cursor.where = f"tensor {shown(name)}"
            got = f"{info.nbytes} bytes at {info.offset}"
            raise cursor.fail("data", f"within the {max(cursor.size - data, 0)} bytes of data", got)
        infos[name] = TensorInfo(name, info.dtype, info.shape, data + info.offset, info.nbytes)
    _check_overlap(cursor, infos)
    return infos


def _read_info(cursor: _Cursor, name: str, alignment: int) -> TensorInfo:
    """One tensor info; its offset is still relative to the data section."""
    dims = cursor.u32("dimensions")
    if dims > MAX_DIMS:
        raise cursor.fail("dimensions", f"at most {MAX_DIMS}", dims)
    start = cursor.take(8 * dims, "shape")
    lengths: tuple[int, ...] = struct.unpack_from(f"<{dims}Q", cursor.buffer, start)
    elements = element_count(lengths)
    if elements is None or max(lengths, default=0) > MAX_INT64:
        raise cursor.fail("shape", "fewer than 2^63 elements", lengths)
    kind = cursor.u32("type")
    if kind not in GGML_TYPES:
        withdrawn = WITHDRAWN_TYPES.get(kind)
        got = f"{kind} ({withdrawn}, withdrawn from ggml: convert again)" if withdrawn else kind
        raise cursor.fail("type", "a tensor type of ggml", got)
    dtype, block, size = GGML_TYPES[kind]
    row = lengths[0] if lengths else 1
    if row % block:
        raise cursor.fail("shape", f"rows of a multiple of {block} elements of {dtype}", row)
    offset = cursor.u64("offset")
    if offset % alignment:
        raise cursor.fail("offset", f"a multiple of the alignment {alignment}", offset)
    return TensorInfo(name, dtype, lengths[::-1], offset, elements // block * size)


def _check_overlap(cursor: _Cursor, infos: dict[str, TensorInfo]) -> None:
    end, last = 0, ""
    for info in sorted(infos.values(), key=lambda info: info.offset):
        if info.nbytes and info.offset < end:
            cursor.where = f"tensor {shown(info.name)}"
            raise cursor.fail("offset", f"{end} or more, where {shown(last)} ends", info.offset)
        if info.nbytes:
            end, last = info.offset + info.nbytes, info.name
