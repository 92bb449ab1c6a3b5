"""Write safetensors files: whole or not at all, streamed, byte for byte as the official package."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, DTypeError
from tallow.formats.file_set import replace_files
from tallow.formats.lazy import LazyTensor, Tensors, described, written
from tallow.formats.mapping import Stored, shown
from tallow.formats.safetensors.header import MAX_HEADER
from tallow.formats.safetensors.types import DTYPES, NAMES, RANKS, stored_bytes
from tallow.formats.writing import path_of, write_to

if TYPE_CHECKING:
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor


def save_safetensors(
    tensors: Tensors,
    path: Target,
    metadata: Mapping[str, str] | None = None,
    *,
    stored: Mapping[str, Stored] | None = None,
    max_shard_bytes: int | None = None,
) -> list[str]:
    """Write tensors to a safetensors file, whole or not at all; gives the paths written.

    `path` may be an open binary file, for which no path is given.

    The memory of contiguous tensors is written as it is, other ones in pieces of 4 MiB; one that
    is a `LazyTensor` is made at its turn and dropped after it. Wide dtypes come first, as in the
    official package, so that every tensor is aligned. `stored` gives `u8` tensors back the dtype
    and shape that `TensorInfo.stored` told when they were read.

    With `max_shard_bytes`, tensors that together exceed it go, in the order of the mapping, to
    `model-00001-of-0000N.safetensors`, … and the index `model.safetensors.index.json` (for the path
    `model.safetensors`), as transformers does; the index appears last.

    Raises:
        ArgumentError: a name or metadata value is not text, the header exceeds 100 MB, or `stored`
            does not fit a tensor.
        DTypeError: a dtype that the format lacks, such as a block-quantised one.
        FormatError: a file cannot be written.
        ShapeError: a lazy tensor turns out to have another shape.
    """
    kept = stored or {}
    rows = {
        name: _stored(name, tensor, kept.get(name, getattr(tensor, "stored", None)))
        for name, tensor in tensors.items()
    }
    about = {_plain(key): _plain(text) for key, text in (metadata or {}).items()}
    shards = _shards(rows, max_shard_bytes)
    if len(shards) == 1:
        return write_to(path, _file(rows, tensors, rows, about))
    stem = path_of(path).removesuffix(".safetensors")
    names = [f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    weight_map = {
        tensor: os.path.basename(name) for name, shard in zip(names, shards, strict=True)
        for tensor in shard
    }  # fmt: skip
    total = sum(stored_bytes(*row) or 0 for row in rows.values())
    index = {"metadata": {"total_size": total, **about}, "weight_map": weight_map}
    text = json.dumps(index, ensure_ascii=False, indent=2).encode() + b"\n"
    first = f"{stem}.safetensors.index.json"
    files = [
        (name, _file(shard, tensors, rows, about))
        for name, shard in zip(names, shards, strict=True)
    ]
    replace_files([(first, [text]), *files])
    return [first, *names]


def _shards(rows: Mapping[str, Stored], most: int | None) -> list[list[str]]:
    """The names in runs that together take at most `most` bytes, or are of one tensor."""
    if most is None:
        return [list(rows)]
    if most <= 0:
        wanted = "a positive number of bytes"
        raise ArgumentError(f"save_safetensors: max_shard_bytes: expected {wanted}, got {most}")
    shards: list[list[str]] = [[]]
    filled = 0
    for name, row in rows.items():
        size = stored_bytes(*row) or 0
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def _file(
    names: Iterable[str], tensors: Tensors, rows: Mapping[str, Stored], about: dict[str, str]
) -> Iterator[bytes | memoryview]:
    """The bytes of one file in pieces; each tensor is looked up when its turn comes."""
    header: dict[str, Any] = {"__metadata__": about} if about else {}
    ordered = sorted(names, key=lambda name: (-RANKS[rows[name].dtype], name.encode()))
    end = 0
    for name in ordered:
        dtype, shape = rows[name]
        begin, end = end, end + (stored_bytes(dtype, shape) or 0)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        wanted = f"a header of at most {MAX_HEADER} bytes"
        raise ArgumentError(f"save_safetensors: expected {wanted}, got {len(text)}")
    yield struct.pack("<Q", len(text))
    yield text
    for name in ordered:
        size = stored_bytes(*rows[name]) or 0
        yield from written(f"save_safetensors: {name}", tensors[name], size)


def _stored(name: str, tensor: Tensor | LazyTensor, kept: Stored | None) -> Stored:
    """Dtype and shape for the header."""
    if _plain(name) == "__metadata__":
        raise ArgumentError("save_safetensors: expected a tensor name, got '__metadata__'")
    dtype, shape = described(tensor)
    if dtype not in NAMES:
        known = " ".join(NAMES)
        raise DTypeError(f"save_safetensors: {name}: expected one of {known}, got {dtype}")
    own = Stored(NAMES[dtype], shape)
    size = stored_bytes(*own)
    if size is None or min(shape, default=0) < 0:
        raise ArgumentError(f"save_safetensors: {name}: expected fewer than 2^64 bytes, got {own}")
    if kept is None:
        return own
    wanted = stored_bytes(*kept) if kept.dtype in DTYPES else None
    if dtype != "u8" or wanted != size:
        fit = f"u8 of {wanted} bytes for {kept.dtype} of shape {kept.shape}"
        got = f"{dtype} of shape {shape}"
        raise ArgumentError(f"save_safetensors: {name}: expected {fit}, got {got}")
    return kept


def _plain(text: object) -> str:
    if isinstance(text, str):
        with suppress(UnicodeEncodeError):
            text.encode()
            return text
    raise ArgumentError(f"save_safetensors: expected text that UTF-8 can hold, got {shown(text)}")
