"""Open whatever holds weights: a file of any format, a folder, a URL, bytes or tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import FormatError, ModelError
from tallow.formats.part_names import part_name, whole_set
from tallow.weights.file_formats import FileFormat, recognise
from tallow.weights.folder import OPEN_CLIP, config_file, main_file
from tallow.weights.source import WeightSource

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.tensor import Tensor

MAX_CONFIG_BYTES: Final = 16 << 20
_URL: Final = re.compile(r"https?://", re.IGNORECASE)

# Where the settings of a quantised model stood before transformers put them into config.json.
_QUANTIZATION: Final = {"quantize_config.json": "gptq", "quant_config.json": "awq"}


def open_weights(source: Source | Mapping[str, Tensor]) -> WeightSource:
    """Open weights by mapping them; no byte of a tensor is read.

    `source` is

    - a file: `.safetensors`, `.gguf`, legacy `.bin` of ggml, `.npz`, `.npy`, PyTorch's `.pt` `.pth`
      `.bin` `.ckpt`, CTranslate2's `model.bin`, or the index of a sharded model
      (`model.safetensors.index.json`, `pytorch_model.bin.index.json`); what it is says its content,
      not its name; one that is named as a part, `…-00001-of-00003.…`, stands for the whole set;
    - a folder of Hugging Face's layout (chosen from as transformers does: safetensors before
      PyTorch's files, a single file before an index), of CTranslate2's, or with exactly one model
      in GGUF or safetensors, or one set of parts;
    - an `https:` URL of a safetensors file, its index, or a GGUF file, of which only the header and
      the tensors that are taken are fetched;
    - the content of a file as a bytes-like object, which is borrowed;
    - tensors by name.

    GPTQ, AWQ and FP8 checkpoints of a folder give their weights as block dtypes: see
    `tallow.weights.quantized`.

    Raises:
        ArgumentError: none of these.
        FormatError: a file is damaged, missing, or of no known format.
        HubError: a URL cannot be read in parts.
        ModelError: nothing in a folder can be opened as weights.
    """
    if isinstance(source, Mapping):
        from tallow.weights.memory import TensorDict

        return WeightSource(Path("<tensors>"), [TensorDict(source)])
    if isinstance(source, str) and _URL.match(source):
        from tallow.weights.remote import open_remote

        return open_remote(source)
    if not isinstance(source, str | os.PathLike):
        kind = recognise(source)
        return _open(kind, source, Path(f"<{type(source).__name__}>"), None)
    path = Path(os.fsdecode(source))
    return _open_folder(path) if _is_folder(path) else _open(recognise(path), path, path, None)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most 16 MiB.

    Raises:
        FormatError: unreadable, too large, not JSON, or not an object.
    """
    value = read_json_value(path)
    if not isinstance(value, dict):
        raise FormatError(path, "content", "a JSON object", type(value).__name__)
    return value


def read_json_value(path: Path) -> Any:
    """Read a JSON document of at most 16 MiB.

    Raises:
        FormatError: unreadable, too large, or not JSON.
    """
    import json

    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise FormatError(path, "size", f"at most {MAX_CONFIG_BYTES} bytes", size)
        return json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(path, "file", "a readable file", error.strerror) from error
    except RecursionError:
        raise FormatError(path, "content", "JSON", "too many levels of nesting") from None
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "content", "JSON", error) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # what is wrong with the path, the reader says
        return False


def _open(
    kind: FileFormat, source: Source, path: Path, config: dict[str, Any] | None
) -> WeightSource:
    if kind.name.endswith(" index") and not isinstance(source, str | os.PathLike):
        got = "an index in memory, which has no folder with shards"
        raise FormatError(path, "content", "a file that holds tensors", got)
    files = _files(kind, source)
    opened = WeightSource(path, files, metadata=files[0].metadata, config=config)
    if config is not None and config.get("quantization_config") is not None:
        from tallow.weights.quantized import unpacked

        return unpacked(opened, config["quantization_config"])
    return opened


def _files(kind: FileFormat, source: Source) -> list[Any]:
    """The open file; all of a set when its name says that it is one part of several."""
    path = Path(os.fsdecode(source)) if isinstance(source, str | os.PathLike) else Path()
    module, _, function = kind.opener_for(path).partition(":")
    open_one = getattr(import_module(module), function)
    part = part_name(path.name)
    if kind.name == "gguf":  # whose reader looks for the other parts itself
        file = open_one(source)
        _refuse_lone_part(file)
        return [file]
    if part is None or kind.name.endswith(" index"):
        return [open_one(source)]
    names = whole_set(part, str(path.parent), os.listdir(path.parent))
    with ExitStack() as opened:
        files = [opened.enter_context(open_one(path.parent / name)) for name in names]
        opened.pop_all()
    return files


def _refuse_lone_part(file: Any) -> None:
    """A part of a split model under a name that does not lead to the others."""
    count = file.metadata.get("split.count", 1)
    if count != 1 and not hasattr(file, "shards"):
        file.close()
        wanted = f"the name of a part of {count}, such as model-00001-of-{count:05d}.gguf"
        raise ModelError(f"{file.path}: split.count: expected {wanted}, found another name")


def _open_folder(path: Path) -> WeightSource:
    config = config_file(path)
    values = read_config(config) if config.is_file() else None
    chosen = main_file(path, values)
    kind = recognise(chosen)
    # A GGUF file says everything about itself; a config beside it is of what it was made from.
    if kind.name == "gguf":
        return _open(kind, chosen, chosen, None)
    return _open(kind, chosen, path, values)


def _open_clip(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenCLIP's file says of the model, under the name of its family."""
    model = values.get("model_cfg")
    if not isinstance(model, dict):
        raise FormatError(path, "model_cfg", "an object", type(model).__name__)
    return {"model_type": "open_clip", **model, "preprocess_cfg": values.get("preprocess_cfg")}


def read_config(path: Path) -> dict[str, Any]:
    """config.json, with what older tools wrote into a file beside it as `quantization_config`.

    Of OpenCLIP's file, what config.json would have.
    """
    values = read_json(path)
    if path.name == OPEN_CLIP:
        return _open_clip(path, values)
    for name, method in _QUANTIZATION.items():
        beside = path.parent / name
        if values.get("quantization_config") is None and beside.is_file():
            values["quantization_config"] = {"quant_method": method, **read_json(beside)}
    return values
