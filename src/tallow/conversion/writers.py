"""Write the content of any weight file in another format, one tensor at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.conversion.content import Content, Entry
from tallow.dtype import DTYPES, by_name
from tallow.errors import ArgumentError, DTypeError
from tallow.formats.gguf_types import GGML_TYPES
from tallow.lazy_dataclasses import dataclass, replace

if TYPE_CHECKING:
    from tallow.formats.lazy import LazyTensor
    from tallow.hub.progress import Progress
    from tallow.tensor import Tensor

ACTIVATION_DTYPES = frozenset({"q8_1", "q8_k"})  # blocks that ggml makes of activations alone
FILE_TYPE_KEY = "general.file_type"
KINDS_KEY = "gguf.types"


class Writer(NamedTuple):
    """A format that can be written: `suffixes` of its files, `dtypes` that it holds.

    `write(tensors, path, metadata, max_shard_bytes)` writes lazy tensors and returns the paths.
    """

    name: str
    suffixes: tuple[str, ...]
    dtypes: frozenset[str]
    write: Callable[[Mapping[str, Any], str, Mapping[str, Any], int | None], list[str]]
    shards: bool = True


@dataclass(frozen=True)
class Conversion:
    """What `convert` is going to do: the entries as they will be written, and what is lost.

    `losses` are sentences for people.
    """

    writer: Writer
    content: Content
    losses: tuple[str, ...] = ()


def writer_for(path: str | os.PathLike[str], name: str | None = None) -> Writer:
    """The format called `name`, else the one that the suffix of `path` stands for.

    Raises:
        ArgumentError: neither tells one that can be written.
    """
    if name is not None:
        found = next((row for row in WRITERS if row.name == name), None)
        known = ", ".join(row.name for row in WRITERS)
        if found is None:
            raise ArgumentError(f"convert: expected one of {known} as format, got {name!r}")
        return found
    text = os.fsdecode(path)
    for row in WRITERS:
        if text.endswith(row.suffixes):
            return row
    known = " ".join(suffix for row in WRITERS for suffix in row.suffixes)
    raise ArgumentError(f"{text}: expected a name that ends in one of {known}, or --to")


def prepare(content: Content, writer: Writer, dtype: str | None = None) -> Conversion:
    """Settle the dtype of every tensor and the metadata, without reading a tensor.

    `dtype` is meant for matrices of floats or blocks; where it is a block dtype, matrices whose
    rows it does not divide and, in GGUF files, vectors stay floats.

    Raises:
        ArgumentError: an unknown dtype, or one that the format lacks.
        DTypeError: the format lacks a tensor's dtype and no `dtype` says what to make of it.
    """
    if dtype is not None:
        _expect_target(dtype, writer)
    losses = [*content.losses]
    entries = {name: _settled(row, writer, dtype) for name, row in content.entries.items()}
    changes: dict[tuple[str, str], int] = {}
    for name, entry in entries.items():
        pair = (content.entries[name].dtype, entry.dtype)
        if pair[0] != pair[1] and by_name(pair[0]).is_quantized:
            changes[pair] = changes.get(pair, 0) + 1
    losses += [
        f"{count} tensors in {before} are dequantised to {after}"
        for (before, after), count in changes.items()
    ]
    rounded = sum(row.exact is not None and row.dtype == "q4_1" for row in entries.values())
    if dtype is None and rounded:
        losses.append(f"zero points of {rounded} tensors are rounded to f16 by the blocks of q4_1")
    metadata = dict(content.metadata)
    if dtype is not None and "general.architecture" in metadata:
        metadata |= _file_type(entries)
    made = Content(content.origin, entries, _METADATA[writer.name](metadata, losses))
    if writer.name == "gguf":
        from tallow.conversion.declared import completed

        made = completed(made)
        losses += made.losses
    return Conversion(writer, made, tuple(losses))


def convert(
    conversion: Conversion,
    path: str | os.PathLike[str],
    *,
    max_shard_bytes: int | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Write what `prepare` settled; returns the paths. A file appears whole or not at all.

    Raises:
        ArgumentError: shards are asked of a format that has none.
        FormatError: a file is damaged or cannot be written.
    """
    writer, content = conversion.writer, conversion.content
    if max_shard_bytes is not None and not writer.shards:
        wanted = ", ".join(row.name for row in WRITERS if row.shards)
        raise ArgumentError(f"convert: expected shards of {wanted}, got {writer.name}")
    tell = (lambda n: None) if progress is None else progress.advance
    tensors = {name: _lazy(entry, tell) for name, entry in content.entries.items()}
    if progress is not None:
        total = sum(entry.nbytes for entry in content.entries.values())
        progress.start(os.path.basename(os.fsdecode(path)), total)
    try:
        return writer.write(tensors, os.fsdecode(path), content.metadata, max_shard_bytes)
    finally:
        if progress is not None:
            progress.finish()


def _lazy(entry: Entry, tell: Callable[[int], None]) -> LazyTensor:
    from tallow.formats.lazy import LazyTensor

    return LazyTensor(entry.dtype, entry.shape, partial(_make, entry, tell), entry.stored)


def _make(entry: Entry, tell: Callable[[int], None]) -> Tensor:
    made = entry.take()
    tell(entry.nbytes)
    return made


# --- dtypes ---------------------------------------------------------------------------------------


def _expect_target(dtype: str, writer: Writer) -> None:
    known = writer.dtypes - ACTIVATION_DTYPES
    wanted = [row.name for row in DTYPES if row.kind in "fq" and row.name in known]
    if dtype not in wanted:
        raise ArgumentError(
            f"convert: expected a dtype of {', '.join(wanted)} for {writer.name}, got {dtype!r}"
        )


def _settled(entry: Entry, writer: Writer, dtype: str | None) -> Entry:
    """The entry as it will be written."""
    if entry.stored is not None:
        if writer.name == "safetensors" and dtype is None:
            return entry
        found = f"{entry.stored.dtype}, which is only kept as bytes"
        raise DTypeError(f"{entry.name}: expected a dtype that {writer.name} holds, found {found}")
    kind = by_name(entry.dtype).kind
    target = entry.dtype
    # Norms of groups stand in rows (Mamba 2), and are no matrices either.
    vector = len(entry.shape) < 2 or entry.name.endswith("_norm.weight")
    if dtype is not None and kind in "fq":
        target = dtype
        if by_name(dtype).is_quantized:
            # Vectors stay: no format of block-quantised weights has them in blocks.
            fits = not vector and entry.shape[-1] % by_name(dtype).block == 0
            target = dtype if fits else entry.dtype
        elif writer.name == "gguf" and vector:
            target = "f32"  # llama.cpp adds and multiplies by no other vectors
    if target not in writer.dtypes:
        raise DTypeError(
            f"{entry.name}: expected a dtype that {writer.name} holds, found {entry.dtype}; "
            "--dtype f16 or f32 says what to make of it"
        )
    if target == entry.dtype and (dtype is None or entry.exact is None):
        return entry
    return replace(entry, dtype=target, take=partial(_cast, entry, target))


def _cast(entry: Entry, dtype: str) -> Tensor:
    from tallow.conversion.casting import cast

    return cast(entry.name, entry.values(), dtype)


# --- metadata -------------------------------------------------------------------------------------


def _as_texts(metadata: Mapping[str, Any], losses: list[str]) -> dict[str, str]:
    """For safetensors: texts as they are, all else as JSON; GGUF types stand in a key of their own.

    transformers asks for a `format`.
    """
    texts, kinds = {}, {}
    for key, value in metadata.items():
        plain, kind = getattr(value, "value", value), getattr(value, "kind", None)
        try:
            text = plain if isinstance(plain, str) else json.dumps(plain)
            text.encode()
        except (TypeError, ValueError):
            losses.append(f"metadata {key} is left out: not text")
            continue
        texts[key] = text
        if kind is not None:
            kinds[key] = kind
    if kinds:
        texts[KINDS_KEY] = json.dumps(kinds)
    return {"format": "pt", **texts}


def _as_gguf(metadata: Mapping[str, Any], losses: list[str]) -> dict[str, Any]:
    """For GGUF: typed values, what Python values infer to, and what `_as_texts` wrote."""
    from tallow.formats.gguf import Typed

    kinds = _kinds_of(metadata.get(KINDS_KEY))
    kept: dict[str, Any] = {}
    for key, value in metadata.items():
        if key in kinds:
            try:
                text = value if kinds[key] == "str" else json.loads(value)
                kept[key] = Typed(kinds[key], text)
            except (TypeError, ValueError, RecursionError):
                losses.append(f"metadata {key} is left out: not what {KINDS_KEY} says")
        elif isinstance(value, str | bool | int | float | Typed):
            if key not in ("format", KINDS_KEY):
                kept[key] = value
        else:
            losses.append(f"metadata {key} is left out: GGUF has no such type")
    return kept


def _file_type(entries: Mapping[str, Entry]) -> dict[str, Any]:
    from tallow.conversion.gguf_model import file_type_code
    from tallow.formats.gguf import Typed

    code = file_type_code(entries)
    return {} if code is None else {FILE_TYPE_KEY: Typed("u32", code)}


def _kinds_of(text: object) -> dict[str, str]:
    """The GGUF types of keys, as a safetensors file of ours states them; none in any other."""
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: kind for key, kind in found.items() if isinstance(kind, str)}


def _none(metadata: Mapping[str, Any], losses: list[str]) -> dict[str, Any]:
    metadata = {key: value for key, value in metadata.items() if key != "format"}
    if metadata:
        losses.append(f"{len(metadata)} keys of metadata are left out: the format has no place")
    return {}


_METADATA: dict[str, Callable[[Mapping[str, Any], list[str]], dict[str, Any]]] = {
    "gguf": _as_gguf,
    "safetensors": _as_texts,
    "npz": _none,
    "torch": _none,
}


# --- formats --------------------------------------------------------------------------------------


def _write_gguf(
    tensors: Mapping[str, Any], path: str, metadata: Mapping[str, Any], limit: int | None
) -> list[str]:
    from tallow.formats.gguf import save_gguf

    return save_gguf(tensors, path, metadata, max_shard_bytes=limit)


def _write_safetensors(
    tensors: Mapping[str, Any], path: str, metadata: Mapping[str, Any], limit: int | None
) -> list[str]:
    from tallow.formats.safetensors import save_safetensors

    return save_safetensors(tensors, path, metadata, max_shard_bytes=limit)


def _write_npz(
    tensors: Mapping[str, Any], path: str, metadata: Mapping[str, Any], limit: int | None
) -> list[str]:
    from tallow.formats.npz import save_npz

    save_npz(tensors, path)
    return [path]


def _write_torch(
    tensors: Mapping[str, Any], path: str, metadata: Mapping[str, Any], limit: int | None
) -> list[str]:
    from tallow.formats.torch_pickle import save_torch

    save_torch(tensors, path)
    return [path]


_PLAIN = frozenset(row.name for row in DTYPES if not row.is_quantized)
_GGUF = frozenset(row.name for row in GGML_TYPES.values()) & {row.name for row in DTYPES}
_NOT_IN_NUMPY = {"bf16", "f8e4m3", "f8e5m2"}

WRITERS = (
    Writer("gguf", (".gguf",), _GGUF, _write_gguf),
    Writer("safetensors", (".safetensors",), _PLAIN, _write_safetensors),
    Writer("npz", (".npz",), _PLAIN - _NOT_IN_NUMPY, _write_npz, shards=False),
    Writer("torch", (".pt", ".pth", ".bin"), _PLAIN, _write_torch, shards=False),
)
