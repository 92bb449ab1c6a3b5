"""Several open files that hold one set of tensors: the same interface as a single file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from tallow.formats.mapping import TensorFile, TensorInfo, unknown_name

if TYPE_CHECKING:
    from tallow.tensor import Tensor

File = TypeVar("File", bound=TensorFile)


class ShardSet(Generic[File]):
    """The files of a set, and which of them holds each tensor."""

    def __init__(self, path: str, files: Collection[File], holders: Mapping[str, File]) -> None:
        self.path = path
        self._files, self._holders = files, holders
        self.tensors: dict[str, TensorInfo] = {
            name: file.tensors[name] for name, file in holders.items()
        }

    def shard(self, name: str) -> File:
        """The file that holds a tensor; `FormatError` when there is none of that name."""
        if name not in self._holders:
            raise unknown_name(self.path, name, self._holders)
        return self._holders[name]

    def data(self, name: str) -> memoryview:
        """The bytes of a tensor, as its shard gives them."""
        return self.shard(name).data(name)

    def tensor(self, name: str) -> Tensor:
        """A tensor that borrows its bytes from the map of its shard, without a copy."""
        return self.shard(name).tensor(name)

    @property
    def stored_size(self) -> int | None:
        """The size of all shards together; None where one does not tell it."""
        total = 0
        for file in self._files:
            if file.stored_size is None:
                return None
            total += file.stored_size
        return total

    def close(self) -> None:
        """Let go of the shards; tensors that borrow from them stay valid."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = f"{len(self.tensors)} tensors, {len(self._files)} shards"
        return f"{type(self).__name__}({self.path!r}, {counts})"
