"""A folder of shards behind one index, as `model.safetensors.index.json` names them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tallow.errors import ArgumentError, FormatError
from tallow.formats.mapping import FileMap, shown
from tallow.formats.safetensors.header import MAX_HEADER, JsonReader
from tallow.formats.safetensors.reading import SafetensorsFile, open_safetensors
from tallow.formats.shards import File, ShardSet


class ShardIndex(ShardSet[File]):
    """A folder of shards behind one index; the same interface as a single file.

    `.metadata` is what the index says of itself, `.shards` the open files by name.
    """

    def __init__(
        self, path: str, metadata: dict[str, Any], shards: dict[str, File], places: dict[str, str]
    ) -> None:
        super().__init__(
            path, shards.values(), {name: shards[place] for name, place in places.items()}
        )
        self.metadata, self.shards = metadata, shards


class SafetensorsIndex(ShardIndex[SafetensorsFile]):
    """A folder of safetensors shards behind one index; the same interface as a single file."""


def open_safetensors_index(path: str | os.PathLike[str]) -> SafetensorsIndex:
    """Open the shards that a `model.safetensors.index.json` names, from the folder it is in.

    Raises:
        ArgumentError: not a path; bytes in memory have no folder.
        FormatError: the index or a shard is damaged, a shard is missing or its name leads out of
            the folder, or a tensor is not in the shard that the index names.
    """
    return SafetensorsIndex(*open_shards(path, open_safetensors, "open_safetensors_index"))


def open_shards(
    path: str | os.PathLike[str], open_shard: Callable[[str], File], caller: str
) -> tuple[str, dict[str, Any], dict[str, File], dict[str, str]]:
    """What a `ShardIndex` is made of: the path, what the index says of itself, shards and places.

    Raises:
        ArgumentError: not a path; bytes in memory have no folder.
        FormatError: as for `open_safetensors_index`.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"{caller}: expected a path, got {type(path).__name__}")
    file = FileMap(path)
    try:
        check_index_size(file.path, file.size)
        metadata, places = read_index(file.path, bytes(file.buffer))
    finally:
        file.close()
    shards: dict[str, File] = {}
    try:
        for name, shard in places.items():
            if shard not in shards:
                shards[shard] = open_shard(os.path.join(os.path.dirname(file.path), shard))
            if name not in shards[shard].tensors:
                raise misplaced(file.path, name, shard)
        return file.path, metadata, shards, places | _unlisted(file.path, shards, places)
    except BaseException:  # an interrupt, too, closes what was opened
        for opened in shards.values():
            opened.close()
        raise


def _unlisted(path: str, shards: dict[str, File], places: dict[str, str]) -> dict[str, str]:
    """Where tensors stand that the index leaves out: transformers reads whole shards, too."""
    found: dict[str, str] = {}
    for shard, file in shards.items():
        for name in file.tensors:
            if name in places:
                continue
            if name in found:
                both = f"none, in both {shown(found[name])} and {shown(shard)}"
                raise FormatError(path, "weight_map", f"a place for {shown(name)}", both)
            found[name] = shard
    return found


def check_index_size(path: str, size: int) -> None:
    """Refuse an index that is longer than a header may be."""
    if size > MAX_HEADER:
        raise FormatError(path, "file", f"at most {MAX_HEADER} bytes", size)


def read_index(path: str, raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """What an index says of itself, and tensor name → shard, a plain name of a file beside it.

    Raises:
        FormatError: not an index, or a shard's name leads out of the folder. (A link in the folder
            may lead out, as in the caches of hubs.)
    """
    try:
        index = JsonReader(path, "index", raw.decode())
    except UnicodeDecodeError as error:
        raise FormatError(path, "index", "UTF-8", error.reason) from error
    metadata: dict[str, Any] = {}
    places: dict[str, str] | None = None
    for key in index.entries():
        if key == "weight_map":
            places = {name: index.string() for name in index.entries()}
        elif key == "metadata":
            found = index.value()
            metadata = found if isinstance(found, dict) else {}
        else:
            index.value()
    index.end()
    if places is None:
        index.fail("a weight_map", "none")
    for shard in dict.fromkeys(places.values()):
        if shard in ("", ".", "..") or any(mark in shard for mark in "/\\:\0"):
            raise FormatError(path, "weight_map shard", "a plain file name", shown(shard))
    return metadata, places


def misplaced(path: str, name: str, shard: str) -> FormatError:
    """The error for a tensor that is not in the shard that the index names."""
    got = f"none in {shown(shard)}"
    return FormatError(path, f"weight_map {shown(name)}", "a tensor there", got)
