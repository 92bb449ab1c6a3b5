"""Indexes of sharded PyTorch folders: the faults of safetensors' indexes, and their shards' own."""

import json

from tallow.formats.torch_pickle import open_torch_index
from torch_bytes import archive, one

from . import safetensors_index, torch_zip

open_file = open_torch_index
MEMORY = torch_zip.MEMORY

BESIDE = {
    "a.bin": archive(one(), torch_zip.DATA),
    "b.bin": torch_zip.VALID["script.pt"],
}
VALID = {
    "valid.json": json.dumps(
        {"metadata": {"total_size": 32}, "weight_map": {"x": "a.bin", "weight": "b.bin"}}
    ).encode()
}
CORPUS = {
    name: (raw.replace(b".safetensors", b".bin"), field)
    for name, (raw, field) in safetensors_index.CORPUS.items()
}
BLAMED = {"index-shard-missing.json": "no-such-file.bin"}
