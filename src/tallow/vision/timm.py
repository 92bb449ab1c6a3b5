"""What timm's `pretrained_cfg` and OpenCLIP's `preprocess_cfg` say of pictures, by other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.errors import FormatError

# Keys of a pretrained_cfg that say how pictures are prepared in evaluation.
_NAMES = {
    "interpolation": "resample",
    "crop_pct": "crop_pct",
    "crop_mode": "crop_mode",
    "mean": "image_mean",
    "std": "image_std",
}


def from_pretrained_cfg(config: Mapping[str, Any], source: object) -> dict[str, Any]:
    """The config of a TimmWrapperImageProcessor for a config.json with `pretrained_cfg`."""
    given = config.get("pretrained_cfg")
    if not isinstance(given, Mapping):
        raise FormatError(source, "pretrained_cfg", "an object", type(given).__name__)
    shape = given.get("input_size") or (3, 224, 224)
    if not isinstance(shape, list | tuple) or len(shape) != 3 or shape[0] != 3:
        raise FormatError(source, "pretrained_cfg.input_size", "3, a height and a width", shape)
    settings = {new: given[old] for old, new in _NAMES.items() if given.get(old)}
    for name in ("image_mean", "image_std"):
        if isinstance(settings.get(name), list | tuple) and len(settings[name]) == 1:
            settings[name] = settings[name][0]
    if settings.get("crop_mode", "center") not in ("center", "squash", "border"):
        wanted = "center, squash or border"
        raise FormatError(source, "pretrained_cfg.crop_mode", wanted, settings["crop_mode"])
    settings.setdefault("crop_pct", 0.875)
    return {"image_processor_type": "TimmWrapperImageProcessor", "size": [*shape[1:]], **settings}


# Which of timm's ways OpenCLIP's are.
_MODES = {"shortest": "center", "squash": "squash"}
_CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


def from_preprocess_cfg(config: Mapping[str, Any], source: object) -> dict[str, Any]:
    """The same for the config of a model of OpenCLIP; the size is that of its picture's side."""
    given, vision = config.get("preprocess_cfg") or {}, config.get("vision_cfg") or {}
    for name, each in (("preprocess_cfg", given), ("vision_cfg", vision)):
        if not isinstance(each, Mapping):
            raise FormatError(source, name, "an object", type(each).__name__)
    mode = given.get("resize_mode") or "shortest"
    if mode not in _MODES:
        raise FormatError(source, "preprocess_cfg.resize_mode", "shortest or squash", mode)
    side = given.get("size") or vision.get("image_size") or 224
    return {
        "image_processor_type": "TimmWrapperImageProcessor",
        "size": [side, side] if isinstance(side, int) else side,
        "crop_pct": 1.0,
        "crop_mode": _MODES[mode],
        "resample": given.get("interpolation") or "bicubic",
        "image_mean": given.get("mean") or _CLIP["mean"],
        "image_std": given.get("std") or _CLIP["std"],
    }
