"""Save tensors and plain values as a zip archive that `torch.load(weights_only=True)` reads.

The archive is laid out as PyTorch's own writer does it: members stored, each one beginning at a
multiple of 64 bytes, sizes and CRC after the data. So `mmap=True` works, and PyTorch can compute
where storages lie without reading the headers.

Sources: caffe2/serialize/inline_container.cc and torch/serialization.py of PyTorch 2.13.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ArgumentError
from tallow.formats.lazy import LazyTensor, described, written
from tallow.formats.torch_pickle.pickler import Pickler, StorageView, torch_dtype
from tallow.formats.torch_pickle.values import DTYPES
from tallow.formats.writing import tensor_bytes, write_to
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow import _native
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor

ALIGNMENT: Final = 64
_FOLDER: Final = "archive/"
LARGE = 0xFFFFFFFF  # sizes and places from here on need 64 bits
_FULL: Final = 0xFFFFFFFF  # what stands for such a one
_DATE: Final = 0x21  # 1 January 1980, the first day of the format: files depend on content only
_FLAGS: Final = 0x0808  # names in UTF-8; CRC and sizes follow the data

Chunk = bytes | memoryview


def save_torch(obj: Any, path: Target) -> None:
    """Write an object as PyTorch's `.pt` file, whole or not at all (a temporary file, a rename).

    `path` may be an open binary file, into which the archive is written.

    `obj` is a tensor or a nesting of dicts, lists, tuples and sets of tensors, numbers, texts,
    bytes, dtypes and None; a `LazyTensor` is made at its turn and dropped after it.

    Tensors that overlap in memory are written as views of one storage, strides and all, and nothing
    beyond the bytes that they reach: a slice of a large tensor makes a small file. A tensor with
    gaps that overlaps no other, or that runs backwards, is written contiguous. Views of one memory
    in different dtypes become storages of their own.

    Raises:
        ArgumentError: an object of another class, or more than 200 levels.
        DTypeError: a dtype that PyTorch lacks, such as a block-quantised one.
        FormatError: the file cannot be written.
    """
    storages, places = plan_storages(find_tensors(obj))
    pickled = Pickler(places).pickle(obj)
    write_to(path, _archive(pickled, storages))


def find_tensors(root: Any) -> list[Tensor | LazyTensor]:
    """The tensors in a nesting of containers, each once, in the order of their appearance."""
    from tallow.tensor import Tensor

    found: dict[int, Tensor | LazyTensor] = {}
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor | LazyTensor):
            found.setdefault(id(value), value)
            continue
        if not isinstance(value, dict | list | tuple | set) or id(value) in seen:
            continue
        seen.add(id(value))
        items: Iterable[Any] = value
        if isinstance(value, dict):
            items = [*value.keys(), *value.values(), getattr(value, "__dict__", None)]
        waiting.extend(reversed(list(items)))
    return list(found.values())


@dataclass(slots=True)
class _Span:
    """A tensor by its id, and the bytes of its storage, from `begin` to `end`, that it reaches."""

    name: int
    array: _native.Array
    begin: int
    end: int


@dataclass(slots=True)
class Stored:
    """What becomes one member: `nbytes`, and the function that gives them."""

    nbytes: int
    content: Callable[[], Iterable[Chunk]]


def plan_storages(
    tensors: list[Tensor | LazyTensor],
) -> tuple[list[Stored], dict[int, StorageView]]:
    """The storages to write, and the place of each tensor in them, by its id."""
    groups: dict[tuple[int, ...], list[_Span] | LazyTensor] = {}
    for position, tensor in enumerate(tensors):
        torch_dtype(described(tensor)[0])
        if isinstance(tensor, LazyTensor):
            groups[(position,)] = tensor
            continue
        array, size = tensor._array, tensor.itemsize
        begin = end = array.data_ptr
        key: tuple[int, ...] = (position,)  # alone: empty, or PyTorch has no strides below 0
        if array.size and min(array.strides, default=0) >= 0:
            pairs = zip(array.shape, array.strides, strict=True)
            end += (sum((n - 1) * step for n, step in pairs) + 1) * size
            key = (array.storage_id, array.dtype, begin % size)
        spans = groups.setdefault(key, [])
        assert isinstance(spans, list)
        spans.append(_Span(id(tensor), array, begin, end))
    storages: list[Stored] = []
    places: dict[int, StorageView] = {}
    for group in groups.values():
        if isinstance(group, LazyTensor):
            storages.append(_store_lazy(group, str(len(storages)), places))
            continue
        for part in _overlapping(group):
            storages.append(_store(part, str(len(storages)), places))
    return storages, places


def _store_lazy(tensor: LazyTensor, key: str, places: dict[int, StorageView]) -> Stored:
    """One storage for a tensor that is made when its turn comes."""
    count = math.prod(tensor.shape)
    nbytes = count * DTYPES[torch_dtype(tensor.dtype)][1]
    places[id(tensor)] = StorageView(key, count, 0, _contiguous_strides(tensor.shape))
    return Stored(nbytes, lambda: written(f"save_torch: storage {key}", tensor, nbytes))


def _overlapping(group: list[_Span]) -> Iterator[list[_Span]]:
    """Split the tensors of one storage into sets that share no byte."""
    group.sort(key=lambda span: (span.begin, span.end))
    part: list[_Span] = []
    end = 0
    for span in group:
        if part and span.begin >= end:
            yield part
            part = []
        end = max(end, span.end) if part else span.end
        part.append(span)
    if part:
        yield part


def _store(part: list[_Span], key: str, places: dict[int, StorageView]) -> Stored:
    """One storage for tensors that overlap; a lone one loses the gaps in it."""
    from tallow.tensor import wrap

    begin, end = part[0].begin, max(span.end for span in part)
    array = part[0].array
    size = array.nbytes // max(array.size, 1)
    if len(part) == 1 and (begin == end or end - begin > array.nbytes):
        strides = _contiguous_strides(array.shape)
        places[part[0].name] = StorageView(key, array.size, 0, strides)
        return Stored(array.nbytes, lambda: tensor_bytes(wrap(array)))
    for span in part:
        offset = (span.begin - begin) // size
        places[span.name] = StorageView(key, (end - begin) // size, offset, span.array.strides)
    return Stored(end - begin, lambda: [_bytes_of(array, (end - begin) // size)])


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def _bytes_of(array: _native.Array, count: int) -> Chunk:
    """`count` elements of the memory from the first one on, without a copy."""
    from tallow.dtype import u8

    if not count:
        return b""
    return memoryview(array.strided((count,), (1,), 0).retype(u8.code))


# --- the archive ----------------------------------------------------------------------------------


def _archive(pickled: bytes, storages: list[Stored]) -> Iterator[Chunk]:
    """The chunks of the file; of the storages no more than one is held at a time."""
    small = {"data.pkl": pickled, ".format_version": b"1", ".storage_alignment": b"64"}
    small["byteorder"] = b"little"
    members = [(name, Stored(len(raw), _given(raw))) for name, raw in small.items()]
    members += [(f"data/{key}", stored) for key, stored in enumerate(storages)]
    members.append(("version", Stored(2, _given(b"3\n"))))
    at, directory = 0, bytearray()
    for name, stored in members:
        raw_name = f"{_FOLDER}{name}".encode()
        header = _local_header(raw_name, stored.nbytes, at)
        yield header
        crc = length = 0
        for chunk in stored.content():
            crc, length = zlib.crc32(chunk, crc), length + len(chunk)
            yield chunk
        if length != stored.nbytes:
            raise ArgumentError("save_torch: expected tensors that keep their size meanwhile")
        end = _descriptor(crc, stored.nbytes, at)
        yield end
        directory += _entry(raw_name, crc, stored.nbytes, at)
        at += len(header) + stored.nbytes + len(end)
    yield bytes(directory)
    yield _end_records(len(members), len(directory), at)


def _given(raw: bytes) -> Callable[[], Iterable[Chunk]]:
    return lambda: [raw]


def _wide(size: int, at: int) -> bytes:
    """The zip64 field for what needs 64 bits: the sizes, the place of the header, or nothing."""
    numbers = ([size, size] if size >= LARGE else []) + ([at] if at >= LARGE else [])
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""


def _version(size: int, at: int) -> int:
    return 45 if size >= LARGE or at >= LARGE else 20


def _local_header(name: bytes, size: int, at: int) -> bytes:
    """The header at byte `at`; padding in its field FB puts the data on a multiple of 64."""
    wide = _wide(size, at)
    used = 30 + len(name) + len(wide) + 4
    padding = -(at + used) % ALIGNMENT
    shown = _FULL if size >= LARGE else 0  # 0: see the descriptor
    fixed = struct.pack(
        "<4s5H3I2H", b"PK\3\4", _version(size, at), _FLAGS, 0, 0, _DATE, 0, shown, shown,
        len(name), len(wide) + 4 + padding,
    )  # fmt: skip
    return fixed + name + wide + b"FB" + struct.pack("<H", padding) + b"Z" * padding


def _descriptor(crc: int, size: int, at: int) -> bytes:
    """CRC and sizes behind the data; PyTorch expects none behind an empty member."""
    if not size:
        return b""
    wide = size >= LARGE or at >= LARGE
    return struct.pack("<4sI2Q" if wide else "<4s3I", b"PK\7\10", crc, size, size)


def _entry(name: bytes, crc: int, size: int, at: int) -> bytes:
    wide = _wide(size, at)
    shown = _FULL if size >= LARGE else size
    place = _FULL if at >= LARGE else at
    version = _version(size, at)
    return struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", version, version, _FLAGS, 0, 0, _DATE, crc, shown, shown,
        len(name), len(wide), 0, 0, 0, 0, place,
    ) + name + wide  # fmt: skip


def _end_records(count: int, size: int, at: int) -> bytes:
    """The zip64 end record with its locator, and the old one, as PyTorch always writes both."""
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    few = min(count, 0xFFFF)
    narrow = (_FULL if number >= LARGE else number for number in (size, at))
    plain = (0, 0, few, few, *narrow, 0)
    return wide + locator + struct.pack("<4s4H2IH", b"PK\5\6", *plain)
