"""Folders of models for pictures, sounds and texts of which the decoder of texts alone is read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from tallow.errors import ConfigWarning, ModelError
from tallow.models.rows import TEXT_HALVES
from tallow.models.table import FAMILIES
from tallow.weights.folder import config_file

if TYPE_CHECKING:
    from tallow.weights import WeightSource

# How a text's tensors begin in such files, and what the decoder with its head calls them.
_BEGINNINGS = {
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.lm_head.": "lm_head.",
    "lm_head.": "lm_head.",
}
# What the whole config says of its text, whatever `text_config` says beside it.
_OF_THE_WHOLE = ("tie_word_embeddings", "eos_token_id", "bos_token_id", "pad_token_id")


def text_half(source: WeightSource) -> WeightSource:
    """The decoder of texts, with its config, of a source of one of `TEXT_HALVES`; others as is.

    Raises:
        ModelError: the config has no `text_config`, or stands for a model that generates no text.
    """
    whole = source.config or {}
    kind = whole.get("model_type")
    name = TEXT_HALVES.get(kind) if isinstance(kind, str) else None
    if name is None:
        return source
    where = config_file(source.path)
    values = _values(whole, name, where)
    names = {each: found for each in source.names() if (found := _called(each)) is not None}
    told = f"{where}: pictures and sounds of {kind} are not read yet; this is its text alone"
    warnings.warn(told, ConfigWarning, stacklevel=4)
    text = source.select(names).rename(names)
    text.config = values
    return text


def _called(name: str) -> str | None:
    for theirs, ours in _BEGINNINGS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return None


def _values(whole: Any, name: str, where: object) -> dict[str, Any]:
    """The config of the text, as the text by itself would have it."""
    text, names = whole.get("text_config"), whole.get("architectures")
    if not isinstance(text, dict):
        raise ModelError(f"{where}: text_config: expected an object, found {type(text).__name__}")
    if text.get("model_type", name) != name:
        found = repr(text["model_type"])
        raise ModelError(f"{where}: text_config: model_type: expected {name!r}, found {found}")
    generates = isinstance(names, list) and any(
        isinstance(each, str) and each.endswith("ForConditionalGeneration") for each in names
    )
    if names and not generates:
        wanted = "one that ends in ForConditionalGeneration"
        raise ModelError(f"{where}: architectures: expected {wanted}, found {names}")
    of_whole = {key: whole[key] for key in _OF_THE_WHOLE if whole.get(key) is not None}
    architecture = next(iter(FAMILIES[name].classes))
    return {**text, **of_whole, "model_type": name, "architectures": [architecture]}
