"""Models in files of other programs, shown as Hugging Face's folders would have them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from tallow.errors import ModelError
from tallow.weights import WeightSource

# What the metadata says (key and value), and the `module:function` that shows the source.
_READERS: Final = {
    ("spec", "WhisperSpec"): "tallow.models.whisper_files:from_ct2",
    ("container", "whisper.cpp"): "tallow.models.whisper_files:from_ggml",
}


def translated(source: WeightSource) -> WeightSource:
    """`source` with a config and names of Hugging Face's where another program wrote it.

    Raises:
        ModelError: it is a model of CTranslate2's of another kind than the known ones.
    """
    metadata = source.metadata
    for (key, value), place in _READERS.items():
        if metadata.get(key) == value:
            module, _, function = place.partition(":")
            read: Callable[[WeightSource], WeightSource] = getattr(import_module(module), function)
            return read(source)
    if "binary_version" in metadata and "spec" in metadata:
        known = ", ".join(value for key, value in _READERS if key == "spec")
        found = metadata["spec"]
        raise ModelError(f"{source.path}: spec: expected one of {known}, found {found!r:.60}")
    return source
