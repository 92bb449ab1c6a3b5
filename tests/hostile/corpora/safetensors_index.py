"""Indexes of sharded safetensors folders, one fault each."""

import json

from tallow.formats.safetensors import open_safetensors_index

from .safetensors import entry, safetensors

open_file = open_safetensors_index

FOLDER = "safetensors"
# A shard that is missing is blamed itself.
BLAMED = {"index-shard-missing.json": "no-such-file.safetensors"}
BESIDE = {
    "a.safetensors": safetensors({"w": entry()}, b"a"),
    "b.safetensors": safetensors({"v": entry(), "u": entry("F32", (0,), (1, 1))}, b"b"),
}
VALID = {
    "valid.json": json.dumps(
        {
            "metadata": {"total_size": 2},
            "weight_map": {"w": "a.safetensors", "v": "b.safetensors", "u": "b.safetensors"},
        }
    ).encode()
}


def index(shard: object) -> bytes:
    return json.dumps({"metadata": {"total_size": 4}, "weight_map": {"w": shard}}).encode()


FAULTS = {
    "index-empty-file": (b"", "file"),
    "index-not-json": (b"\x89PNG", "index"),
    "index-a-list": (b"[]", "index"),
    "index-cut-short": (index("a.safetensors")[:-2], "index"),
    "index-without-weight-map": (b'{"metadata":{}}', "index"),
    "index-weight-map-a-list": (b'{"weight_map":["w"]}', "index"),
    "index-name-twice": (b'{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}', "index"),
    "index-shard-a-number": (index(1), "index"),
    "index-shard-missing": (index("no-such-file.safetensors"), "file"),
    "index-shard-empty-name": (index(""), "weight_map shard"),
    "index-shard-is-dot": (index("."), "weight_map shard"),
    "index-shard-is-dot-dot": (index(".."), "weight_map shard"),
    "index-shard-in-parent": (index("../secret.safetensors"), "weight_map shard"),
    "index-shard-absolute": (index("/etc/passwd"), "weight_map shard"),
    "index-shard-in-folder": (index("sub/a.safetensors"), "weight_map shard"),
    "index-shard-with-backslash": (index("..\\a.safetensors"), "weight_map shard"),
    "index-shard-on-drive": (index("C:a.safetensors"), "weight_map shard"),
    "index-shard-with-nul": (index("a\0.safetensors"), "weight_map shard"),
}

CORPUS = {f"{name}.json": case for name, case in FAULTS.items()}
