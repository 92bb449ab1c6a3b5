"""Which file of a folder holds its weights, and what stands beside it about them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tallow.errors import ModelError
from tallow.formats.part_names import part_name, whole_set

# What a folder is opened by, the first that is there, in the order of transformers: a single file
# before an index, whose shards are then older or of another save; safetensors before pickles.
FILES: Final = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
ADAPTER: Final = "adapter_config.json"  # of PEFT: the weights beside it change those of a model
EXPLICIT: Final = "transformers_weights"  # a key of config.json that names the file
_GROUPS: Final = ((".gguf",), (".safetensors",), (".bin", ".pt", ".pth"))
_USUAL: Final = ("model", "pytorch_model")


OPEN_CLIP: Final = "open_clip_config.json"  # stands where config.json does in others


def config_file(path: Path) -> Path:
    """The file of a folder that describes its model; config.json where there is none."""
    own, other = path / "config.json", path / OPEN_CLIP
    return other if other.is_file() and not own.is_file() else own


def main_file(path: Path, config: dict[str, Any] | None) -> Path:
    """The file that a folder is opened by; of a set of parts without an index the first.

    Raises:
        FormatError: a part of the only set is missing.
        ModelError: there is none, or more than one and nothing says which.
    """
    explicit = None if config is None else config.get(EXPLICIT)
    if explicit is not None:
        return _named(path, explicit)
    chosen = next((path / name for name in FILES if (path / name).is_file()), None)
    if chosen is None:
        return _only_model(path)
    if (path / ADAPTER).is_file():
        found = f"{chosen.name} and an adapter ({ADAPTER}) that changes it"
        raise ModelError(
            f"{path}: expected one model, found {found}: merge the adapter (merge_and_unload of "
            "peft), or name one of the files"
        )
    return chosen


def _named(path: Path, name: object) -> Path:
    if not isinstance(name, str) or name != os.path.basename(name) or name in ("", ".", ".."):
        wanted = "the name of a file of the folder"
        raise ModelError(f"{path}/config.json: {EXPLICIT}: expected {wanted}, found {name!r:.60}")
    return path / name


def _only_model(path: Path) -> Path:
    """The one file of a folder, or the first part of the one set, that holds weights."""
    names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    # Of a text and its projector the text is the model.
    texts = [name for name in names if not is_projector(name)]
    names = texts if any(name.endswith(".gguf") for name in texts) else names
    for suffixes in _GROUPS:
        sets: dict[object, list[str]] = {}
        for name in names:
            part = part_name(name)
            # Of pickles only those whose name says model: training leaves many others.
            if name.endswith(suffixes) and (part or ".bin" not in suffixes):
                sets.setdefault(part.group if part else name, []).append(name)
        usual = [key for key, group in sets.items() if _stem(group[0]) in _USUAL]
        chosen = usual if len(usual) == 1 else list(sets)
        if len(chosen) == 1:
            group = sets[chosen[0]]
            part = part_name(group[0])
            return path / (group[0] if part is None else whole_set(part, str(path), group)[0])
        if chosen:
            listed = ", ".join(group[0] for group in list(sets.values())[:6])
            found = f"{len(chosen)} {suffixes[0]} models: name one of them ({listed})"
            raise ModelError(f"{path}: expected one model, found {found}")
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "an empty folder"
    raise ModelError(f"{path}: expected one of {', '.join(FILES)} or one .gguf, found {found}")


def is_projector(name: str) -> bool:
    """Whether a GGUF file is by its name llama.cpp's `mmproj`, of pictures beside a text."""
    return name.endswith(".gguf") and "mmproj" in name.lower()


def projector_beside(text: Path, ref: str | os.PathLike[str]) -> Path | None:
    """The projector of the folder `ref`, whose model is the GGUF file `text`; None without one.

    Raises:
        ModelError: there are several.
    """
    path = text.parent
    if Path(os.fsdecode(ref)) != path:
        return None
    names = sorted(entry.name for entry in path.iterdir() if is_projector(entry.name))
    if len(names) > 1:
        wanted = "one projector, or the argument projector"
        raise ModelError(f"{path}: expected {wanted}, found {', '.join(names[:6])}")
    return path / names[0] if names else None


def _stem(name: str) -> str:
    part = part_name(name)
    return (name if part is None else part.whole).partition(".")[0]
