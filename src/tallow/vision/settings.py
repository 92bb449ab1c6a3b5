"""What a processor's config says, read with a check of every value."""

from __future__ import annotations

import difflib
import math
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from tallow.errors import FormatError
from tallow.lazy_dataclasses import dataclass, field
from tallow.vision.images import MAX_PIXELS
from tallow.vision.processor_types import KINDS, ProcessorType

MAX_EDGE = 65_536

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}

# The sets of keys that transformers knows in a size.
_FORMS = (
    ("height", "width"),
    ("shortest_edge",),
    ("shortest_edge", "longest_edge"),
    ("longest_edge",),
    ("max_height", "max_width"),
)

# Keys that transformers writes or reads and that change nothing of what a model gets.
_WITHOUT_EFFECT = {
    *("image_processor_type", "feature_extractor_type", "processor_class", "auto_map"),
    *("model_input_names", "data_format", "input_data_format", "return_tensors", "device"),
    *("disable_grouping", "default_to_square", "do_convert_annotations", "format"),
    *("image_seq_length", "reduce_labels"),
    *("ocr_lang", "tesseract_config", "return_segmentation_masks", "masks_path"),
    *("ignore_index", "num_labels", "class_info_file", "_valid_processor_keys"),
    *("_valid_kwargs_names", "image_processor_class", "feature_extractor_class"),
    *("transformers_version", "name_or_path", "_name_or_path", "semantic_loss_ignore_index"),
    *("pad_and_return_pixel_mask", "return_row_col_info", "do_pan_and_scan"),
    *("pan_and_scan_min_crop_size", "pan_and_scan_max_num_crops"),
    "pan_and_scan_min_ratio_to_activate",
}

_SIZES = ("size", "crop_size", "pad_size", "mask_size", "mask_pad_size", "max_image_size")

_NEEDED_BY = {
    "size": "do_resize",
    "resample": "do_resize",
    "crop_size": "do_center_crop",
    "rescale_factor": "do_rescale",
    "image_mean": "do_normalize",
    "image_std": "do_normalize",
}


@dataclass(frozen=True)
class Settings:
    """A processor's values under transformers' names; its type's own where a config has none."""

    type: str
    kind: ProcessorType
    do_resize: bool = True
    size: Mapping[str, int] = field(default_factory=dict)
    resample: int = RESAMPLE["bilinear"]
    do_center_crop: bool = False
    crop_size: Mapping[str, int] = field(default_factory=dict)
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    image_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    do_pad: bool = False
    pad_size: Mapping[str, int] = field(default_factory=dict)
    do_convert_rgb: bool = False
    crop_pct: float = 224 / 256
    crop_mode: str = "center"
    rescale_offset: bool = False
    include_top: bool = True
    do_flip_channel_order: bool = True
    do_thumbnail: bool = True
    do_align_long_axis: bool = False
    ensure_multiple_of: int = 1
    keep_aspect_ratio: bool = False
    size_divisor: int = 0
    patch_size: int = 16
    max_num_patches: int = 256
    temporal_patch_size: int = 2
    merge_size: int = 2
    do_image_splitting: bool = True
    max_image_size: Mapping[str, int] = field(default_factory=dict)
    apply_ocr: bool = False
    do_reduce_labels: bool = False
    mask_size: Mapping[str, int] = field(default_factory=dict)
    mask_pad_size: Mapping[str, int] = field(default_factory=dict)


_READ = frozenset(Settings.__dataclass_fields__) - {"type", "kind"}


def kind_of(config: Mapping[str, Any], source: object, model_type: str | None) -> str:
    """The type that a config names, by its new name; that of `model_type` where it names none."""
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    if name is None and "pretrained_cfg" in config:
        return "TimmWrapperImageProcessor"
    if name is None:
        found = next((kind for kind, row in KINDS.items() if model_type in row.model_types), None)
        if found is None:
            got = "nothing" if model_type is None else f"nothing, and the model type {model_type}"
            raise FormatError(source, "image_processor_type", "a type of processor", got)
        return found
    short = str(name).replace("FeatureExtractor", "ImageProcessor")
    short = short.removesuffix("Fast").removesuffix("Pil")
    if short not in KINDS:
        near = difflib.get_close_matches(short, KINDS, 3) or sorted(KINDS)
        raise FormatError(source, "image_processor_type", f"one such as {', '.join(near)}", name)
    return short


def read_settings(
    config: Mapping[str, Any], source: object, model_type: str | None = None
) -> Settings:
    """The settings that a preprocessor_config.json stands for.

    As in transformers, a null is a flag that is off, or no value; keys without an effect are passed
    over, unknown ones told in a warning.

    Raises:
        FormatError: an unknown type, a value of the wrong kind, values that contradict one another,
            or a request that this type of processor cannot do.
    """
    if not isinstance(config, Mapping):
        raise FormatError(source, "content", "an object", type(config).__name__)
    name = kind_of(config, source, model_type)
    kind = KINDS[name]
    reader = _Reader(config, source, kind)
    settings = Settings(name, kind, **{key: reader.value(key) for key in reader.names()})
    reader.check(settings)
    return settings


class _Reader:
    def __init__(self, config: Mapping[str, Any], source: object, kind: ProcessorType) -> None:
        given = dict(config)
        for old, new in kind.aliases.items():
            if old in given:
                given.setdefault(new, given[old])
        if kind.limit and given.get("size") is None:
            given.pop("size", None)
        if kind.counts:
            _rename_pixels(given, kind.defaults["size"])
        self.given, self.source, self.kind = given, source, kind

    def names(self) -> list[str]:
        """The fields that the config or its type has a value for; warns of unknown keys."""
        known = _READ | _WITHOUT_EFFECT | self.kind.aliases.keys() | {"max_size", "use_square_size"}
        if unknown := sorted(self.given.keys() - known):
            text = f"{self.source}: keys that no image processor knows: {', '.join(unknown)}"
            warnings.warn(text, UserWarning, stacklevel=5)
        return sorted(_READ & (self.given.keys() | self.kind.defaults.keys()))

    def error(self, name: str, wanted: str, value: object) -> FormatError:
        shown = repr(value)
        return FormatError(
            self.source, name, wanted, shown if len(shown) < 80 else shown[:77] + "…"
        )

    def value(self, name: str) -> Any:
        default = Settings.__dataclass_fields__[name].default
        value = self.given.get(name, self.kind.defaults.get(name, default))
        if value is None:
            return self._null(name, default)
        if name in _SIZES:
            return self._size(name, value)
        if name == "patch_size" and isinstance(value, dict):
            return self._side(name, value)
        if name in ("image_mean", "image_std"):
            return self._triple(name, value)
        if name == "resample":
            return self._resample(value)
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise self.error(name, "true or false", value)
            return value
        if isinstance(default, str):
            if not isinstance(value, str):
                raise self.error(name, "a string", value)
            return value
        if isinstance(default, int):
            return self._whole(name, value)
        return self._number(name, value)

    def _null(self, name: str, default: Any) -> Any:
        """What a null stands for: a flag that is off, or no value, where none is needed."""
        flag = _NEEDED_BY.get(name, "")
        if flag and self.value(flag):
            raise self.error(name, f"a value where {flag} is true", None)
        return False if isinstance(default, bool) else {} if name in _SIZES else default

    def _whole(self, name: str, value: Any) -> int:
        most = MAX_PIXELS if self.kind.counts and name.startswith("size.") else MAX_EDGE
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            raise self.error(name, f"an integer from 1 to {most}", value)
        return value

    def _side(self, name: str, value: dict[str, Any]) -> int:
        """The edge of a square that is written as height and width."""
        if {*value} != {"height", "width"} or value["height"] != value["width"]:
            raise self.error(name, "an integer, or a height and a width that are equal", value)
        return self._whole(name, value["height"])

    def _number(self, name: str, value: Any, low: float = 0.0) -> float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared, as an integer may be too large for a float.
        if not good or not abs(value) <= sys.float_info.max or value <= low:
            raise self.error(
                name, "a finite number above 0" if not low else "a finite number", value
            )
        return float(value)

    def _triple(self, name: str, value: Any) -> tuple[float, ...]:
        low = 0.0 if name == "image_std" else -math.inf
        if isinstance(value, list | tuple) and len(value) == 3:
            return tuple(self._number(name, number, low) for number in value)
        if isinstance(value, list | tuple):
            raise self.error(name, "3 numbers", value)
        return (self._number(name, value, low),) * 3

    def _resample(self, value: Any) -> int:
        if isinstance(value, str):
            value = RESAMPLE.get(value.rsplit(".", 1)[-1].lower(), value)
        if type(value) is not int or value not in RESAMPLE.values():
            raise self.error("resample", f"0 to 5, or one of {', '.join(RESAMPLE)}", value)
        return value

    def _size(self, name: str, value: Any) -> dict[str, int]:
        if isinstance(value, int) and not isinstance(value, bool):
            square = self.kind.square
            if not self.kind.limit:
                square = bool(self.given.get("default_to_square", square))
            square = square or name != "size"
            value = {"height": value, "width": value} if square else {"shortest_edge": value}
            if not square and self.kind.limit:
                value["longest_edge"] = self.given.get("max_size", self.kind.limit)
        elif isinstance(value, list | tuple) and len(value) == 2:
            order = ("width", "height") if self.kind.wide_first and name == "size" else _FORMS[0]
            value = dict(zip(order, value, strict=True))
        if name == "size" and self.given.get("use_square_size") and self.kind.square_flag:
            value = {"height": 224, "width": 224}
        if not isinstance(value, dict):
            raise self.error(name, "an integer, two of them, or an object", value)
        if {*value} not in map(set, _FORMS):
            forms = "; ".join(" and ".join(form) for form in _FORMS)
            raise self.error(name, f"one of the sets of keys {forms}", value)
        return {key: self._whole(f"{name}.{key}", edge) for key, edge in value.items()}

    def check(self, settings: Settings) -> None:
        """Refuse what the type's own steps cannot do."""
        steps = self.kind.steps
        if self.given.get("do_pan_and_scan"):
            raise self.error("do_pan_and_scan", "false (crops are not supported)", True)
        if self.kind.sizes and (settings.do_resize or "turn" in steps):
            forms = [set(form.split("+")) for form in self.kind.sizes]
            if {*settings.size} not in forms:
                raise self.error("size", f"{' or '.join(self.kind.sizes)}", dict(settings.size))
        if "resize_smooth" in steps and settings.do_resize:
            if settings.resample not in (2, 3):
                raise self.error("resample", "bilinear or bicubic", settings.resample)
            if not settings.do_rescale:
                raise self.error("do_rescale", "true where do_resize is", False)
        if "split" in steps and {*settings.max_image_size} != {"longest_edge"}:
            raise self.error("max_image_size", "longest_edge", dict(settings.max_image_size))
        crop = {*settings.crop_size}
        if settings.do_center_crop and (not crop or ("crop" in steps and crop != {*_FORMS[0]})):
            raise self.error("crop_size", "height and width", dict(settings.crop_size))
        if settings.do_pad and settings.pad_size and {*settings.pad_size} != {*_FORMS[0]}:
            raise self.error("pad_size", "height and width", dict(settings.pad_size))


def _rename_pixels(given: dict[str, Any], default: Mapping[str, int]) -> None:
    """Let `size` have what older files call `min_pixels` and `max_pixels`, beside it or in it."""
    size = given.get("size")
    size = default if size is None else size
    if not isinstance(size, Mapping):
        return  # which is refused where it is read
    size = dict(size)
    for old, new in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        inner, outer = size.pop(old, None), given.pop(old, None)
        value = inner if outer is None else outer
        if value is not None:
            size[new] = value
    given["size"] = size
