"""Weights behind a URL: the header is read, and of the tensors only those that are taken."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, MoreNeededError, TensorInfo, borrow, shown, unknown_name
from tallow.lazy_dataclasses import replace
from tallow.weights.entry import PartialFile
from tallow.weights.source import WeightSource

if TYPE_CHECKING:
    from tallow.hub.ranges import RemoteFile
    from tallow.tensor import Tensor

MAX_HEADER: Final = 1 << 28  # bytes of a GGUF header; the largest vocabularies take some 20 MB
GAP: Final = 1 << 16  # bytes between two tensors that are fetched along rather than skipped
MOST: Final = 1 << 26  # bytes of neighbours that one request fetches together


class RemoteTensors(PartialFile):
    """The tensors of a file elsewhere; each is fetched by one request when it is taken.

    The tensors own what was fetched. `.metadata` is that of the file.
    """

    def __init__(
        self, file: RemoteFile, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, Any]
    ) -> None:
        self._file = file
        self.path = file.path
        self.tensors, self.metadata = tensors, metadata
        self._held: dict[str, memoryview] = {}

    def data(self, name: str) -> memoryview:
        """The bytes of a tensor.

        Raises:
            FormatError: no such tensor.
            HubError: they cannot be fetched.
        """
        info = self._info(name)
        held = self._held.pop(name, None)
        return self._fetch(info.offset, info.nbytes) if held is None else held

    def tensor(self, name: str) -> Tensor:
        """A tensor; errors as of `data`, and `FormatError` for a dtype only kept as bytes."""
        return borrow(self.path, self._info(name), self.data(name), 0)

    def part(self, name: str, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:
        """Bytes `start` to `stop` of a tensor, as one of `shape`; only these are fetched."""
        info = replace(self._info(name), shape=shape)
        held = self._held.pop(name, None)
        if held is not None:
            return borrow(self.path, info, held[start:stop], 0)
        return borrow(self.path, info, self._fetch(info.offset + start, stop - start), 0)

    def prefetch(self, names: Iterable[str]) -> None:
        """Fetch tensors now, neighbours by one request; each is held until it is taken."""
        wanted = {name: self._info(name) for name in names if name not in self._held}
        for run in _runs(wanted.values()):
            begin, end = run[0].offset, max(info.offset + info.nbytes for info in run)
            body = self._fetch(begin, end - begin)
            for info in run:
                at = info.offset - begin
                self._held[info.name] = body[at : at + info.nbytes]

    def close(self) -> None:
        """Drop what was prefetched and not taken; no connection is held open."""
        self._held.clear()

    def _info(self, name: str) -> TensorInfo:
        info = self.tensors.get(name)
        if info is None:
            raise unknown_name(self.path, name, self.tensors)
        return info

    def _fetch(self, offset: int, count: int) -> memoryview:
        return memoryview(self._file.read(offset, offset + count) if count else b"")

    def __repr__(self) -> str:
        return f"RemoteTensors({self.path!r}, {len(self.tensors)} tensors)"


def _runs(infos: Iterable[TensorInfo]) -> Iterator[list[TensorInfo]]:
    """The tensors in the order of the file, cut where a gap or the sum grows too large."""
    run: list[TensorInfo] = []
    for info in sorted(infos, key=lambda info: info.offset):
        if run:
            begin, end = run[0].offset, run[-1].offset + run[-1].nbytes
            if info.offset - end > GAP or info.offset + info.nbytes - begin > MOST:
                yield run
                run = []
        run.append(info)
    if run:
        yield run


def open_remote(url: str) -> WeightSource:
    """Open a safetensors or GGUF file, or a safetensors index, behind a URL; only headers are read.

    Two range requests list the tensors: the first 64 KiB, then the rest of the header if it is
    longer (of a GGUF file up to four more, each four times as long). Of a model in parts the URL
    may be that of any part; all are opened.

    Raises:
        FormatError: neither, or damaged.
        HubError: no such file, or a server that serves no ranges.
    """
    from tallow.hub.ranges import RemoteFile

    file = RemoteFile(url)
    metadata: Mapping[str, Any]
    if file.head.lstrip(b" \t\r\n")[:1] == b"{":
        metadata, files = _open_index(file)
    else:
        files = _open_parts(file, _open_single(file))
        metadata = files[0].metadata
    return WeightSource(Path(file.path), files, metadata=metadata, label=file.path)


def _open_single(file: RemoteFile) -> RemoteTensors:
    from tallow.formats.gguf_types import MAGIC

    if file.head.startswith(MAGIC):
        return _open_gguf(file)
    if file.head[8:].lstrip(b" \t\r\n")[:1] == b"{":
        return _open_safetensors(file)
    wanted = "a safetensors or GGUF file (tallow.hub.resolve downloads others)"
    raise FormatError(file.path, "content", wanted, shown(file.head[:16]))


def _open_safetensors(file: RemoteFile) -> RemoteTensors:
    from tallow.formats.safetensors.header import check_length, read_header

    (stated,) = struct.unpack_from("<Q", file.head)
    end = 8 + check_length(file.path, stated, file.size)
    raw = file.head[8:end]
    if end > len(file.head):
        raw += file.read(len(file.head), end)
    return RemoteTensors(file, *read_header(file.path, raw, file.size))


def _open_parts(file: RemoteFile, opened: RemoteTensors) -> list[RemoteTensors]:
    """All parts of a set, in order; a file that is named as no part is alone."""
    from urllib.parse import unquote, urlsplit

    from tallow.formats.gguf_split import check_shard, places_of
    from tallow.formats.gguf_types import MAGIC
    from tallow.formats.part_names import part_name
    from tallow.hub.ranges import RemoteFile

    name = unquote(urlsplit(file.path).path).rpartition("/")[2]
    gguf = file.head.startswith(MAGIC)
    stated, found = opened.metadata.get("split.count", 1) if gguf else None, part_name(name)
    if found is None or stated == 1:
        if stated not in (1, None):
            wanted = "a URL whose name leads to the other parts"
            raise FormatError(file.path, "metadata split.count", wanted, shown(name))
        return [opened]
    parts: list[RemoteTensors] = []
    for other in found.names():
        parts.append(opened if other == name else _open_single(RemoteFile(file.beside(other))))
        if gguf:
            check_shard(parts, int(found.count))
    if gguf:
        places_of(parts)
    return parts


class _Start(FileMap):
    """The first bytes of a file elsewhere, of the size of the whole file."""

    __slots__ = ()

    def __init__(self, file: RemoteFile, head: bytes) -> None:
        super().__init__(head)
        self.path, self.size = file.path, file.size


def _open_gguf(file: RemoteFile) -> RemoteTensors:
    from tallow.formats.gguf import parse_gguf

    head = file.head
    while True:
        try:
            found = parse_gguf(_Start(file, head))
            return RemoteTensors(file, found.tensors, found.metadata)
        except MoreNeededError as more:
            if more.end > MAX_HEADER:
                wanted = f"at most {MAX_HEADER} bytes before the tensors"
                raise FormatError(file.path, "header", wanted, f"{more.end} or more") from None
            end = min(max(more.end, 4 * len(head)), MAX_HEADER, file.size)
            head += file.read(len(head), end)


def _open_index(file: RemoteFile) -> tuple[Mapping[str, Any], list[RemoteTensors]]:
    from tallow.formats.safetensors.index import (
        check_index_size,
        misplaced,
        read_index,
    )
    from tallow.hub.ranges import RemoteFile

    check_index_size(file.path, file.size)
    raw = file.head
    if file.size > len(raw):
        raw += file.read(len(raw), file.size)
    metadata, places = read_index(file.path, raw)
    shards = {
        shard: _open_safetensors(RemoteFile(file.beside(shard)))
        for shard in dict.fromkeys(places.values())
    }
    for name, shard in places.items():
        if name not in shards[shard].tensors:
            raise misplaced(file.path, name, shard)
    files = []
    for shard, opened in shards.items():
        # As for a folder, only what the index names counts.
        own = {name: info for name, info in opened.tensors.items() if places.get(name) == shard}
        files.append(RemoteTensors(opened._file, own, opened.metadata))
    return metadata, files
