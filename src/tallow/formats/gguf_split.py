"""Open the shards of a GGUF model, `name-00001-of-0000N.gguf`, as one file.

Source: llama.cpp's `gguf-split`, which writes them, and `llama-model-loader.cpp`, which reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from tallow.errors import FormatError
from tallow.formats.gguf import GGUFFile, Metadata, open_gguf
from tallow.formats.gguf_write import shard_paths
from tallow.formats.mapping import shown
from tallow.formats.shards import ShardSet

SHARD_NAME: Final = re.compile(
    r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL
)


class GGUFSplit(ShardSet[GGUFFile]):
    """Several GGUF files that hold one model; the same interface as a single file.

    `.metadata` is that of the first shard, `.shards` the open files in order.
    """

    def __init__(self, path: str, shards: list[GGUFFile], places: dict[str, int]) -> None:
        super().__init__(path, shards, {name: shards[at] for name, at in places.items()})
        self.shards = shards
        self.metadata: Metadata = shards[0].metadata


def is_shard_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named as one of several, `name-00002-of-00003.gguf`."""
    return SHARD_NAME.fullmatch(os.path.basename(os.fsdecode(path))) is not None


def open_gguf_split(path: str | os.PathLike[str]) -> GGUFSplit:
    """Open all shards of a model, given the path of any of them.

    Each shard must say of itself what its name says, and all together must hold as many tensors as
    each of them states, none twice.

    Raises:
        FormatError: a shard is missing or damaged, stands under the name of another (also through
            a link), or belongs to another set.
    """
    text = os.fsdecode(path)
    found = SHARD_NAME.fullmatch(os.path.basename(text))
    if found is None:
        got = shown(os.path.basename(text))
        raise FormatError(shown(text), "name", "name-00001-of-0000N.gguf", got)
    count, number = int(found["count"]), int(found["number"])
    if not 1 <= number <= count:
        raise FormatError(text, "name", "a number from 1 to the count", f"{number} of {count}")
    stem = os.path.join(os.path.dirname(text), found["stem"])
    shards: list[GGUFFile] = []
    try:
        for place in shard_paths(f"{stem}.gguf", count):
            shards.append(open_gguf(place))
            check_shard(shards, count)
        return GGUFSplit(text, shards, places_of(shards))
    except BaseException:  # an interrupt, too, closes what was opened
        for shard in shards:
            shard.close()
        raise


class Shard(Protocol):
    """What is looked at of an open shard, which may be a file elsewhere."""

    @property
    def path(self) -> str:
        """By which errors name it."""

    @property
    def tensors(self) -> Mapping[str, Any]:
        """What is in it, by name."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""


def check_shard(shards: Sequence[Shard], count: int) -> None:
    """Check the last of `shards` against its place and the first; `FormatError` if it is amiss."""
    shard, number = shards[-1], len(shards) - 1
    wanted = {
        "split.no": number,
        "split.count": count,
        "split.tensors.count": shards[0].metadata.get("split.tensors.count"),
    }
    for key, value in wanted.items():
        stated = shard.metadata.get(key)
        if isinstance(stated, bool) or not isinstance(stated, int) or stated != value:
            expected = value if isinstance(value, int) else "a number"
            raise FormatError(shard.path, f"metadata {key}", expected, shown(stated))


def places_of(shards: Sequence[Shard]) -> dict[str, int]:
    """Which shard each tensor is in; `FormatError` when one is in two, or some are missing."""
    places: dict[str, int] = {}
    for at, shard in enumerate(shards):
        for name in shard.tensors:
            if name in places:
                got = f"one that {os.path.basename(shards[places[name]].path)} has too"
                field = f"tensor {shown(name)}"
                raise FormatError(shard.path, field, "a name not used in another shard", got)
            places[name] = at
    stated = shards[0].metadata["split.tensors.count"]
    if stated != len(places):
        field = "metadata split.tensors.count"
        raise FormatError(shards[0].path, field, f"{len(places)}, as the shards hold", stated)
    return places
