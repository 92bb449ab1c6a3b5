"""GGUF, the format of llama.cpp: typed metadata, then tensor infos, then aligned tensor data.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and `src/gguf.cpp` there for what
llama.cpp refuses. Versions 2 and 3, little-endian.
"""

from __future__ import annotations

import importlib
import struct
from typing import TYPE_CHECKING, Any, Final

from tallow.formats.gguf_metadata import GGUFCursor, Metadata, ValueOffset
from tallow.formats.gguf_types import (
    DEFAULT_ALIGNMENT,
    GGML_TYPES,
    MAGIC,
    MAX_DIMS,
    STRUCTS,
    UINT32,
    WITHDRAWN_TYPES,
    Typed,
)
from tallow.formats.mapping import (
    MAX_INT64,
    FileMap,
    TensorFile,
    TensorInfo,
    element_count,
    opening,
    shown,
)

if TYPE_CHECKING:
    from tallow.formats.gguf_write import save_gguf
    from tallow.formats.lazy import LazyTensor
    from tallow.formats.mapping import Source

__all__ = [
    "GGML_TYPES", "WITHDRAWN_TYPES", "GGUFFile", "LazyTensor", "Metadata", "Typed", "open_gguf",
    "save_gguf",
]  # fmt: skip

_OLDER: Final = {b"lmgg": "GGML", b"fmgg": "GGMF", b"tjgg": "GGJT", b"algg": "GGLA"}


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


def open_gguf(source: Source) -> GGUFFile:
    """Open a GGUF file of version 2 or 3 by mapping it; no byte of a tensor is read.

    `source` is a path or the content as a bytes-like object, which is borrowed.

    Everything else in the file is checked here: lengths, counts, types, names, alignment, that each
    tensor lies within the file, that no two overlap and that no key or tensor stands twice.

    Raises:
        FormatError: not a GGUF file, or of another version or byte order, or damaged.
    """
    with opening(source) as file:
        return parse_gguf(file)


def parse_gguf(file: FileMap) -> GGUFFile:
    """What `open_gguf` makes of an open file, which may be only the first bytes of one elsewhere.

    Raises:
        FormatError: as `open_gguf`.
        MoreNeededError: the header is longer than what is there of the file.
    """
    cursor = GGUFCursor(file)
    magic = bytes(cursor.buffer[:4])
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
    metadata, alignment = _read_metadata(cursor, file, key_count)
    tensors = _read_infos(cursor, tensor_count, alignment)
    return GGUFFile(file, tensors, metadata, version, alignment)


def _check_version(cursor: GGUFCursor, version: int) -> None:
    if version in (2, 3):
        return
    got = str(version)
    if version == 1:
        got = "1, an early version with 32-bit lengths; convert the file again with llama.cpp"
    elif version & 0xFFFF == 0 and version:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        got = f"version {swapped} in a big-endian file; convert it to little-endian"
    raise cursor.fail("version", "2 or 3, little-endian", got)


def _read_metadata(cursor: GGUFCursor, file: FileMap, count: int) -> tuple[Metadata, int]:
    values: dict[str, Any] = {}
    places: dict[str, ValueOffset] = {}
    alignment = DEFAULT_ALIGNMENT
    for index in range(count):
        cursor.where = f"metadata {index}"
        key = cursor.name("key")
        if not key or key in places:
            raise cursor.fail("key", "a name not used before", shown(key))
        cursor.where = f"metadata {shown(key)}"
        kind = cursor.u32("value type")
        places[key] = ValueOffset(kind, cursor.at)
        if kind in STRUCTS:
            values[key] = cursor.value(kind)
        else:
            cursor.skip(kind)
        if key == "general.alignment":
            if kind != UINT32:
                raise cursor.fail("value type", f"{UINT32} (u32)", kind)
            alignment = values[key]
            if alignment.bit_count() != 1:
                raise cursor.fail("value", "a power of two", alignment)
    return Metadata(file, values, places), alignment


def _read_infos(cursor: GGUFCursor, count: int, alignment: int) -> dict[str, TensorInfo]:
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


def _read_info(cursor: GGUFCursor, name: str, alignment: int) -> TensorInfo:
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


def _check_overlap(cursor: GGUFCursor, infos: dict[str, TensorInfo]) -> None:
    end, last = 0, ""
    for info in sorted(infos.values(), key=lambda info: info.offset):
        if info.nbytes and info.offset < end:
            cursor.where = f"tensor {shown(info.name)}"
            raise cursor.fail("offset", f"{end} or more, where {shown(last)} ends", info.offset)
        if info.nbytes:
            end, last = info.offset + info.nbytes, info.name


# What writes files is imported when it is asked for: most programs read them only.
_HOMES: Final = {"save_gguf": "gguf_write", "LazyTensor": "lazy"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"tallow.formats.{home}"), name)
