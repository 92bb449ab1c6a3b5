"""ImageProcessor: from pictures to what a model takes, as preprocessor_config.json says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.borrowing import from_numpy
from tallow.dtype import f32, f64
from tallow.errors import ArgumentError, MissingFileError, expect
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass, replace
from tallow.ops import stack
from tallow.tensor import Tensor
from tallow.vision.settings import Settings, read_settings

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Size = tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """What a processor makes of pictures; `**batch` gives a model the tensors that it takes.

    Sizes are pairs of height and width, a picture each: as the pictures came, and after resizing.
    """

    pixel_values: Tensor
    """(batch, 3, height, width) of f32; for SigLIP 2 (batch, patches, values of a patch).

    For Qwen-VL (patches of all pictures, values of a patch), for Idefics 3 (1, frames of all
    pictures, 3, height, width).
    """
    original_sizes: list[Size]
    reshaped_input_sizes: list[Size]
    pixel_mask: Tensor | None = None
    """(batch, height, width) of i64: 1 on the picture, 0 on padding."""
    pixel_attention_mask: Tensor | None = None
    """(batch, patches) of i32: 1 on patches, 0 on padding; of pixels for Idefics 3."""
    image_grid_thw: Tensor | None = None
    """(batch, 3) of i64: times, rows and columns of patches."""
    image_sizes: Tensor | None = None
    """(batch, 2) of i64: height and width without the padding."""
    rows: Tensor | None = None
    cols: Tensor | None = None
    """(1, batch) of i64: rows and columns of the frames of each picture, 0 where it is one."""
    spatial_shapes: Tensor | None = None
    """(batch, 2) of i64: rows and columns of patches."""
    labels: Tensor | None = None
    """(batch, height, width) of i64: the classes of segmentation maps."""
    words: Sequence[Sequence[str]] | None = None
    boxes: Sequence[Sequence[Sequence[int]]] | None = None

    def keys(self) -> list[str]:
        """The names of the tensors that are there."""
        return [entry.name for entry in fields(self) if isinstance(self._get(entry.name), Tensor)]

    def __getitem__(self, name: str) -> Any:
        value = self._get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def scaled(self, points: Any) -> Tensor:
        """Points or boxes on the original pictures, as they lie on the resized ones, in f32.

        A list with an entry a picture, or one array (batch, …, 2 or 4) of x and y: SAM's
        `input_points` and `input_boxes`.
        """
        given = [tensor(each, dtype=f64) for each in points]
        pairs = len(given) == len(self.original_sizes) and all(
            each.ndim and each.shape[-1] in (2, 4) for each in given
        )
        wanted = f"{len(self.original_sizes)} lists of points or boxes"
        expect(pairs, "Batch.scaled", wanted, [tuple(each.shape) for each in given])
        sizes = zip(given, self.original_sizes, self.reshaped_input_sizes, strict=True)
        scaled = []
        for each, (height, width), (tall, wide) in sizes:
            factors = [wide / width, tall / height] * (each.shape[-1] // 2)
            scaled.append(each * tensor(factors, dtype=f64))
        return stack(scaled).to(f32)

    def _get(self, name: str) -> Any:
        return getattr(self, name, None)


class ImageProcessor:
    """Prepares pictures for a model: a list of steps, with the numbers of its config.

    Results are those of transformers' processors on Pillow (`backend="pil"`), bit for bit.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        model_type: str | None = None,
        source: object = "preprocessor config",
    ) -> ImageProcessor:
        """The processor of a preprocessor_config.json, or of a model's config that holds one.

        Those are timm's with `pretrained_cfg` and OpenCLIP's with `preprocess_cfg`. `model_type`
        chooses the type where the config names none.

        Raises:
            FormatError: an unknown type, or a value that its type cannot do.
        """
        if "pretrained_cfg" in config:
            from tallow.vision.timm import from_pretrained_cfg

            config = from_pretrained_cfg(config, source)
        elif "preprocess_cfg" in config:
            from tallow.vision.timm import from_preprocess_cfg

            config = from_preprocess_cfg(config, source)
        return cls(read_settings(config, source, model_type))

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> ImageProcessor:
        """The processor of a Hugging Face folder, or of one JSON file.

        In a folder `image_processor` in processor_config.json goes before a timm config.json, and
        that before preprocessor_config.json.

        Raises:
            MissingFileError: there is none of them.
            FormatError: as in `from_config`.
        """
        from tallow.weights.open import read_json

        folder = Path(path)
        if folder.is_file():
            return cls.from_config(read_json(folder), source=folder)
        config, source, model = _find(folder)
        return cls.beside(config, model, source)

    @classmethod
    def beside(
        cls, config: Mapping[str, Any], model: Mapping[str, Any], source: object
    ) -> ImageProcessor:
        """The processor of a preprocessor_config.json beside the config.json of its model.

        Raises:
            FormatError: as in `from_config`.
        """
        kind = model.get("model_type")
        if kind == "vision-encoder-decoder" and isinstance(model.get("encoder"), dict):
            kind = model["encoder"].get("model_type")
        processor = cls.from_config(config, model_type=kind, source=source)
        if processor.settings.size == {"longest_edge": 800} and _reads_structure(model):
            # Published so for both Table Transformers; the authors use 1000 for the structure.
            processor = cls(replace(processor.settings, size={"longest_edge": 1000}))
        return processor

    def __call__(
        self,
        images: Any,
        *,
        segmentation_maps: Any = None,
        return_mask: bool = True,
        words: Sequence[Sequence[str]] | None = None,
        boxes: Sequence[Sequence[Sequence[int]]] | None = None,
    ) -> Batch:
        """One picture, a list of them, or an array with a first axis for them, as a batch.

        A picture is what `load_image` takes. Arrays of floats are taken as transformers takes them:
        through 8 bits where they are resized, and rescaled as any picture. `segmentation_maps`, one
        a picture, (height, width) of classes, become `labels`. `return_mask` false leaves
        `pixel_mask` out. `words` and `boxes` go with the pictures of a LayoutLMv3 whose
        config says `apply_ocr`: no reader of text runs here.

        Raises:
            TallowError: a picture that cannot be read or resized so; the text says which.
        """
        pictures = _listed(images)
        expect(bool(pictures), "ImageProcessor", "at least one picture", "none", ArgumentError)
        if self.settings.apply_ocr:
            given = words is not None and boxes is not None
            wanted = "words and boxes, since no reader of text runs here"
            expect(given, f"{self.settings.type}: apply_ocr", wanted, "none", ArgumentError)
        arrays, originals, resized = [], [], []
        for index, source in enumerate(pictures):
            array, before, after = self._one(source, index)
            arrays.append(array)
            originals.append(before)
            resized.append(after)
        found = self._joined(arrays, resized, return_mask)
        if segmentation_maps is not None:
            from tallow.vision.maps import label_maps

            maps = _listed(segmentation_maps, 2)
            found["labels"] = from_numpy(label_maps(maps, len(pictures), self.settings))
        return Batch(
            original_sizes=originals,
            reshaped_input_sizes=resized,
            words=words,
            boxes=boxes,
            **found,
        )

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.5, target_sizes: Any = None
    ) -> list[dict[str, Tensor]]:
        """Scores, labels and boxes of a detector's `logits` and `pred_boxes`, a dict a picture.

        As `postprocess.object_detection`, with the scores that detectors of this type have.
        """
        from tallow.vision.postprocess import object_detection

        how = self.settings.kind.detection
        expect(bool(how), self.settings.type, "a detector", "another type", ArgumentError)
        return object_detection(
            outputs.logits,
            outputs.pred_boxes,
            threshold=threshold,
            target_sizes=target_sizes,
            **how,
        )

    def __repr__(self) -> str:
        return f"ImageProcessor({self.settings.type}, {dict(self.settings.size)})"

    def _one(self, source: Any, index: int) -> tuple[Array, Size, Size]:
        from tallow.vision.images import as_picture, load_image
        from tallow.vision.steps import STEPS, edges_of

        settings = self.settings
        try:
            picture = as_picture(source, settings.do_convert_rgb)
            if settings.kind.rule == "timm":
                picture = load_image(picture)
            original = size = edges_of(picture)
            for name in settings.kind.steps:
                picture = STEPS[name](picture, settings)
                if name.startswith("resize"):
                    size = edges_of(picture)
        except ArgumentError as error:
            raise ArgumentError(f"{_named(source, index)}: {error}") from None
        return picture, original, size

    def _joined(self, arrays: list[Array], sizes: list[Size], return_mask: bool) -> dict[str, Any]:
        from tallow.vision import joining

        settings = self.settings
        lists = {
            "patches": joining.padded_patches,
            "grids": joining.behind,
            "frames": joining.frames,
        }
        if settings.kind.pad in lists:
            found = lists[settings.kind.pad](arrays, sizes, settings)
        elif settings.kind.pad == "sizes":
            found = joining.with_sizes(arrays, pad=settings.do_pad)
        elif settings.do_pad and settings.kind.pad in ("pad", "mask"):
            found = joining.padded(arrays, settings.pad_size)
            if not return_mask or settings.kind.pad == "pad":
                del found["pixel_mask"]
        else:
            found = {"pixel_values": joining.stacked(arrays)}
        return {name: from_numpy(array) for name, array in found.items()}


def _listed(images: Any, axes: int = 3) -> list[Any]:
    """The pictures, or maps, of a list, of an array with an axis for them, or a single one."""
    if isinstance(images, list | tuple):
        return list(images)
    return list(images) if getattr(images, "ndim", axes) == axes + 1 else [images]


def _named(source: Any, index: int) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "filename", "")
    return os.fspath(path) if path else f"picture {index}"


def _find(folder: Path) -> tuple[dict[str, Any], Path, dict[str, Any]]:
    """The config of a folder, the file that it is from, and the model's config."""
    from tallow.weights.folder import config_file
    from tallow.weights.open import read_config, read_json

    def read(name: str) -> dict[str, Any]:
        return read_json(folder / name) if (folder / name).is_file() else {}

    own = config_file(folder)
    model = read_config(own) if own.is_file() else {}
    nested = read("processor_config.json").get("image_processor")
    if isinstance(nested, dict):
        return nested, folder / "processor_config.json", model
    if "pretrained_cfg" in model:
        return model, own, model
    file = folder / "preprocessor_config.json"
    if "preprocess_cfg" in model and not file.is_file():
        return model, own, model
    if not file.is_file():
        raise MissingFileError(file, "file", "the config of an image processor", "nothing")
    return read_json(file), file, model


def _reads_structure(model: Mapping[str, Any]) -> bool:
    labels = model.get("id2label")
    return isinstance(labels, dict) and "table row" in labels.values()
