"""A folder of PyTorch shards behind one `pytorch_model.bin.index.json`."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial

from tallow.formats.safetensors.index import ShardIndex, open_shards
from tallow.formats.torch_pickle.reading import TorchFile, open_torch


class TorchIndex(ShardIndex[TorchFile]):
    """A folder of PyTorch shards behind one index; the same interface as a single file."""


def open_torch_index(path: str | os.PathLike[str], *, records: Collection[str] = ()) -> TorchIndex:
    """Open the shards that a `pytorch_model.bin.index.json` names, from the folder it is in.

    `records` as for `open_torch`.

    Raises:
        ArgumentError: not a path; bytes in memory have no folder.
        FormatError: the index or a shard is damaged, a shard is missing or its name leads out of
            the folder, or a tensor is not in the shard that the index names.
    """
    opened = open_shards(path, partial(open_torch, records=records), "open_torch_index")
    return TorchIndex(*opened)
