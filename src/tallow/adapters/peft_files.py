"""Adapters in PEFT's layout: adapter_config.json beside adapter_model.safetensors or .bin.

Source: https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tallow.adapters.config import LoraConfig
from tallow.adapters.contents import Contents
from tallow.adapters.parts import LowRank, OtherBias, Part, Whole, is_table
from tallow.errors import FormatError, ModelError
from tallow.formats.safetensors import save_safetensors
from tallow.formats.writing import replace_file
from tallow.nn import Module
from tallow.tensor import Tensor
from tallow.weights import open_weights
from tallow.weights.open import read_json

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_HEAD = "base_model.model."
_LOW = {
    "lora_A": "A", "lora_B": "B", "lora_embedding_A": "A", "lora_embedding_B": "B",
    "lora_magnitude_vector": "magnitude",
}  # fmt: skip


def is_peft(path: Path) -> bool:
    """Whether a folder has an adapter in this layout."""
    return path.is_dir() and (path / CONFIG).is_file()


def read_peft(folder: Path) -> Contents:
    """The tensors of an adapter's folder by the paths of transformers' modules.

    Raises:
        FormatError: a file is missing or damaged.
        ModelError: another method than LoRA, or a tensor of which nothing is known.
    """
    config = LoraConfig.read(read_json(folder / CONFIG), folder / CONFIG)
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise FormatError(folder, "file", " or ".join(WEIGHTS), "neither")
    source = open_weights(file)
    contents = Contents(str(folder), config)
    strange = [
        name
        for name in source.names()
        if not _enter(contents, name.removeprefix(_HEAD), partial(source.take, name))
    ]
    if strange:
        shown = ", ".join(strange[:8])
        raise ModelError(f"{file}: expected tensors of a LoRA adapter, found {shown}")
    return contents


def _enter(contents: Contents, name: str, take: Any) -> bool:
    """Put a tensor where it belongs; whether there is such a place."""
    steps = name.split(".")
    at = next((i for i, step in enumerate(steps) if step in _LOW), None)
    if at is not None:
        path, kind, last = ".".join(steps[:at]), _LOW[steps[at]], steps[-1]
        if kind == "B" and last == "bias":
            kind = "bias"
        contents.low.setdefault(path, {})[kind] = take()
        return last in ("weight", "bias") or at == len(steps) - 1
    if "base_layer" in steps:
        path = ".".join(steps[: steps.index("base_layer")])
        table = contents.bases if steps[-1] == "weight" else contents.biases
        table[path] = take()
        return steps[-1] in ("weight", "bias")
    for wanted in contents.config.modules_to_save:
        inner = _below(steps, wanted.split("."))
        if inner is not None:
            path, rest = inner
            contents.wholes.setdefault(path, {})[rest] = take()
            return True
    if steps[-1] == "bias" and contents.config.bias != "none":
        contents.biases[".".join(steps[:-1])] = take()
        return True
    return False


def _below(steps: list[str], wanted: list[str]) -> tuple[str, str] | None:
    """The path of a module that ends in `wanted`, and the rest of a name below it."""
    size = len(wanted)
    for end in range(size, len(steps)):
        if steps[end - size : end] == wanted:
            rest = [step for step in steps[end:] if step != "modules_to_save"]
            return ".".join(steps[:end]), ".".join(rest)
    return None


def write_peft(
    folder: str | os.PathLike[str],
    config: LoraConfig,
    parts: Mapping[str, list[Part]],
    modules: Mapping[str, Module],
) -> None:
    """Write an adapter's folder, replacing one that is there; the config comes last."""
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(target, "folder", "one that can be written", error.strerror) from error
    tensors: dict[str, Tensor] = {}
    for path, held in parts.items():
        low = any(isinstance(part, LowRank) for part in held)
        for part in held:
            for name, value in _named(part, is_table(modules[path]), low):
                tensors[f"{_HEAD}{path}.{name}"] = value.detach().contiguous()
    save_safetensors(tensors, target / WEIGHTS[0], {"format": "pt"})
    text = json.dumps(config.values(), indent=2, sort_keys=True)
    replace_file(target / CONFIG, [text.encode()])


def _named(part: Part, table: bool, low: bool) -> list[tuple[str, Tensor]]:
    """What PEFT calls the tensors of a part; `low`: one of low rank is in the same place."""
    if isinstance(part, OtherBias):
        return [("base_layer.bias" if low else "bias", part.bias)]
    if isinstance(part, Whole):
        return list(part.module.named_parameters())
    assert isinstance(part, LowRank), "there are no others"
    if table:
        found = [("lora_embedding_A", part.lora_A.transpose(0, 1))]
        return [*found, ("lora_embedding_B", part.lora_B)]
    found = [("lora_A.weight", part.lora_A), ("lora_B.weight", part.lora_B)]
    if part.bias is not None:
        found.append(("lora_B.bias", part.bias))
    if part.magnitude is not None:
        found.append(("lora_magnitude_vector", part.magnitude))
    return found
