"""Examples of a model's inputs, from its parameters and its config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tallow.dtype import f32, i64
from tallow.errors import ModelError
from tallow.factories import arange, ones, zeros
from tallow.models import CausalLM
from tallow.nn.module import Module
from tallow.tensor import Tensor

BATCH, LENGTH, USUAL_EDGE = 2, 8, 224
_TEXTS = {"input_ids": "length", "decoder_input_ids": "decoder_length"}
_KNOWN = (*_TEXTS, "attention_mask", "token_type_ids", "pixel_values")

Examples = dict[str, Tensor]
Dynamic = dict[str, dict[int, str]]


def example_inputs(
    model: Module, image_size: tuple[int, int] | None = None
) -> tuple[Examples, Dynamic]:
    """Inputs of the names that models have, and their axes that may have any length.

    Texts get any batch and length, images any batch; their height and width are `image_size`, or
    what the config says. A decoder gets ids alone: all of a prompt.

    Raises:
        ModelError: the model needs others.
    """
    parameters = inspect.signature(model.forward).parameters
    needed = [n for n, p in parameters.items() if p.default is p.empty and n not in _KNOWN]
    texts = [name for name in _TEXTS if name in parameters]
    pictures = "pixel_values" in parameters
    if needed or not (texts or pictures):
        raise ModelError(
            f"onnx.export: expected a model of {', '.join(_KNOWN)}, got one of {[*parameters]}:"
            " give tallow.onnx.export examples"
        )
    made: Examples = {}
    dynamic: Dynamic = {}
    for name in texts:
        ids = arange(BATCH * LENGTH).reshape(BATCH, LENGTH) % 5 + 3
        made[name], dynamic[name] = ids, {0: "batch", 1: _TEXTS[name]}
    if "input_ids" in made and not isinstance(model, CausalLM):
        shape = (BATCH, LENGTH)
        for name, filled in (("attention_mask", ones), ("token_type_ids", zeros)):
            if name in parameters and (filled is ones or _has_types(model)):
                made[name], dynamic[name] = filled(*shape, dtype=i64), dict(dynamic["input_ids"])
    if pictures:
        height, width = image_size or _image_size(_config(model))
        channels = _find(_config(model), ("num_channels", "in_chans"), 3)
        pixels = arange(BATCH * channels * height * width, dtype=f32)
        made["pixel_values"] = (pixels * 0.37).sin().reshape(BATCH, channels, height, width)
        dynamic["pixel_values"] = {0: "images" if "input_ids" in made else "batch"}
    return made, dynamic


def _config(model: Module) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(model, "config_values", None) or {}
    return found


def _has_types(model: Module) -> bool:
    return int(_find(_config(model), ("type_vocab_size",), 0)) > 1


def _find(config: Mapping[str, Any], names: tuple[str, ...], default: Any) -> Any:
    """A value of the config, or of a part of it for images."""
    parts = [config, *(config.get(k) for k in ("vision_config", "encoder", "backbone_config"))]
    for part in parts:
        for name in names:
            if isinstance(part, Mapping) and part.get(name) is not None:
                return part[name]
    return default


def _image_size(config: Mapping[str, Any]) -> tuple[int, int]:
    size = _find(config, ("image_size", "input_size"), USUAL_EDGE)
    if isinstance(size, Mapping):
        return int(size.get("height", USUAL_EDGE)), int(size.get("width", USUAL_EDGE))
    if isinstance(size, list | tuple):
        return int(size[-2]), int(size[-1])
    return int(size), int(size)
