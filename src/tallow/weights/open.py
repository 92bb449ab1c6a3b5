"""Open whatever holds weights: a GGUF file (split ones too), safetensors, a Hugging Face folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tallow.errors import FormatError, ModelError
from tallow.weights.source import WeightSource

MAX_CONFIG_BYTES = 16 << 20
_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


def open_weights(path: str | os.PathLike[str]) -> WeightSource:
    """Open weights by mapping them; no byte of a tensor is read.

    Accepts a `.gguf` file (of a split model: any part), a `.safetensors` file, a
    `.safetensors.index.json`, a Hugging Face folder (config.json and safetensors, single or
    sharded) or a folder with exactly one model in GGUF.

    Raises:
        FormatError: a file is damaged or missing.
        ModelError: nothing at `path` can be opened as weights.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    if path.name.endswith(".safetensors.index.json"):
        return _open_index(path, path, None)
    if path.suffix == ".safetensors":
        return _open_single(path, path, None)
    return _open_gguf(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most 16 MiB.

    Raises:
        FormatError: unreadable, too large, not JSON, or not an object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise FormatError(path, "size", f"at most {MAX_CONFIG_BYTES} bytes", size)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(path, "file", "a readable file", error.strerror) from error
    except RecursionError:
        raise FormatError(path, "content", "JSON", "too many levels of nesting") from None
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "content", "JSON", error) from error
    if not isinstance(value, dict):
        raise FormatError(path, "content", "a JSON object", type(value).__name__)
    return value


def _open_folder(path: Path) -> WeightSource:
    config = path / "config.json"
    index = path / "model.safetensors.index.json"
    single = path / "model.safetensors"
    if config.is_file():
        if index.is_file():
            return _open_index(index, path, read_json(config))
        if single.is_file():
            return _open_single(single, path, read_json(config))
    first_of_split = "-00001-of-"
    ggufs = sorted(
        file
        for file in path.glob("*.gguf")
        if not _SPLIT.match(file.name) or first_of_split in file.name
    )
    if len(ggufs) == 1:
        return _open_gguf(ggufs[0])
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "an empty folder"
    if len(ggufs) > 1:
        found += f" ({len(ggufs)} GGUF models: name one of them)"
    wanted = "config.json with model.safetensors or model.safetensors.index.json, or one .gguf file"
    raise ModelError(f"{path}: expected {wanted}, found {found}")


def _open_single(path: Path, source: Path, config: dict[str, Any] | None) -> WeightSource:
    from tallow.formats.safetensors import open_safetensors

    file = open_safetensors(path)
    return WeightSource(source, [file], metadata=file.metadata, config=config)


def _open_index(path: Path, source: Path, config: dict[str, Any] | None) -> WeightSource:
    from tallow.formats.safetensors import open_safetensors_index

    file = open_safetensors_index(path)
    return WeightSource(source, [file], metadata=file.metadata, config=config)


def _open_gguf(path: Path) -> WeightSource:
    from tallow.formats.gguf import open_gguf

    split = _SPLIT.match(path.name)
    if split is None:
        file = open_gguf(path)
        count = file.metadata.get("split.count", 1)
        if count != 1:
            wanted = f"the name of a part of {count}, such as model-00001-of-{count:05d}.gguf"
            raise ModelError(f"{path}: split.count: expected {wanted}, found {path.name}")
        return WeightSource(path, [file], metadata=file.metadata)
    count, stem = int(split["count"]), split["stem"]
    paths = [path.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing or not paths:
        raise ModelError(f"{path}: expected all {count} parts beside it, missing {missing[:5]}")
    files = [open_gguf(part) for part in paths]
    return WeightSource(path, files, metadata=files[0].metadata)
