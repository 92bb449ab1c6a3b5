"""Pictures to labels, vectors, boxes and areas."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tallow.errors import ArgumentError, DTypeError, ModelError, expect
from tallow.factories import empty
from tallow.lazy_dataclasses import dataclass
from tallow.ops import sigmoid, softmax, stack
from tallow.tasks.base import Task, as_text, inputs_of, label_names
from tallow.tasks.contrastive import scores_alone, texts_for
from tallow.tasks.labels import Label, apply, best, function_of, labels_of
from tallow.tasks.sentence_modules import normalize
from tallow.tensor import Tensor
from tallow.weights.open import read_json

if TYPE_CHECKING:
    from PIL.Image import Image

    from tallow.vision import ImageProcessor

Made = TypeVar("Made")
Picture = Any  # what `tallow.vision.load_image` takes


class ImageTask(Task[Picture, Made], Generic[Made]):
    """A model of pictures and its processor; a picture is what `tallow.vision.load_image` takes.

    `processor` has the keys of a preprocessor_config.json, or is the path of one: for weights that
    come without it, and instead of the one beside them.
    """

    takes: ClassVar[tuple[str, ...]] = ("pixel_values",)
    batch_size = 8

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        processor: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(ref, **options)
        if isinstance(processor, str | os.PathLike):
            processor = read_json(Path(processor))
        if processor is not None:
            good = isinstance(processor, Mapping)
            where = f"{type(self).__name__}: processor"
            expect(good, where, "a mapping or a path", type(processor).__name__, DTypeError)
            self.model.processor_values = processor

    @cached_property
    def processor(self) -> ImageProcessor:
        """The processor that was given, or that of the model's folder.

        Raises:
            FormatError: the folder has none, or one of an unknown type.
            ModelError: the model was not loaded from a folder.
        """
        from tallow.vision import ImageProcessor

        model = self.model
        if model.processor_values is not None:
            return ImageProcessor.beside(model.processor_values, model.config_values, "processor")
        if model.folder is not None:
            return ImageProcessor.from_folder(model.folder)
        if not {"pretrained_cfg", "preprocess_cfg"}.isdisjoint(model.config_values):
            return ImageProcessor.from_config(model.config_values, source="config")
        wanted = "processor=, or a model from a folder with preprocessor_config.json"
        raise ModelError(f"{type(self).__name__}: processor: expected {wanted}, got a file")

    @staticmethod
    def is_one(items: Any) -> bool:
        """Whether a call was given a single picture, not several."""
        if isinstance(items, memoryview) or hasattr(items, "read"):
            return True
        if hasattr(items, "shape"):  # but arrays of paths are lists, and of four axes, batches
            paths = getattr(items.dtype, "kind", "f") in ("O", "U")
            return not paths and len(items.shape) < 4
        return Task.is_one(items)

    def check(self) -> None:
        """Raise what would make every picture fail."""
        _ = self.processor

    def prepare(self, item: Picture) -> Image:
        """The decoded picture, upright, in RGB; it keeps its name for what is told of it."""
        from tallow.vision import load_image

        picture = load_image(item)
        if isinstance(item, str | os.PathLike):
            setattr(picture, "filename", os.fspath(item))  # noqa: B010  # none of Pillow's own
        return picture

    def batch(self, prepared: Sequence[Image]) -> dict[str, Tensor]:
        """What the model takes of pictures."""
        found = self.processor(list(prepared))
        return inputs_of(self.model, {name: found[name] for name in found})


def _threshold(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    expect(good, "threshold", "a number", value, ArgumentError)
    return float(value)


class ImageClassifier(ImageTask[Tensor]):
    """An image classifier: `classifier(images)` gives the labels of each."""

    task = "image-classification"

    def __call__(
        self,
        images: Any,
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """The best label of each picture; lists of `top_k` labels where that is not 1 (None: all).

        A single picture gives its own.

        Raises:
            BatchError: some pictures failed; the others' labels are kept in it.
        """
        return self.each(images, batch_size, labels_of(self, top_k, function_to_apply))

    def labels(self, logits: Tensor, top_k: int | None, function: str | None = None) -> list[Label]:
        """The best labels of one picture's logits."""
        scores = apply(function or function_of(self.model), logits).tolist()
        return best(scores, label_names(self.model), top_k)

    def compute(self, prepared: Sequence[Image]) -> Sequence[Tensor]:
        """The logits of each picture, `(labels,)`."""
        return list(self.model(**self.batch(prepared)).logits.unbind(0))


class ImageEmbedder(ImageTask[Tensor]):
    """Pictures to vectors: `encode(images)`.

    Of CLIP and its relatives the projected image features, of others the pooled output, or the
    first position where a model pools nothing.
    """

    task = "embedding"

    def encode(
        self,
        images: Any,
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
    ) -> Tensor:
        """`(pictures, size)` of f32; `(size,)` of a single picture.

        Raises:
            BatchError: some pictures failed; the others' vectors are kept in it.
        """
        made = self.each(
            images, batch_size, lambda _, row: normalize(row) if normalize_embeddings else row
        )
        if self.is_one(images):
            return made  # type: ignore[no-any-return]
        return stack(made) if made else empty(0, 0)

    def compute(self, prepared: Sequence[Image]) -> Sequence[Tensor]:
        """The vectors of pictures, each `(size,)`."""
        batch = self.batch(prepared)
        features = getattr(self.model, "get_image_features", None)
        found = self.model(**batch) if features is None else features(**batch)
        rows, states = (found.get(name) for name in ("pooler_output", "last_hidden_state"))
        if rows is None and states is None:
            wanted = "a model that gives vectors of pictures"
            raise ModelError(f"ImageEmbedder: expected {wanted}, got {type(self.model).__name__}")
        rows = states[:, 0] if rows is None else rows
        return list(rows.flatten(1).unbind(0))


@dataclass(frozen=True)
class Detection:
    """A box in pixels of the picture, (left, top, right, bottom), and what is in it."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    index: int  # of the label


class Detector(ImageTask[dict[str, Tensor]]):
    """An object detector: `detector(images)` gives the detections of each picture."""

    task = "object-detection"
    batch_size = 2

    def __init__(self, *args: Any, threshold: float = 0.5, **options: Any) -> None:
        super().__init__(*args, **options)
        self.threshold = _threshold(threshold)

    def __call__(
        self, images: Any, *, threshold: float | None = None, batch_size: int | None = None
    ) -> Any:
        """Detections with scores above `threshold`, the best first; of one picture its own list.

        Raises:
            BatchError: some pictures failed; the others' detections are kept in it.
        """
        low = _threshold(self.threshold if threshold is None else threshold)
        return self.each(images, batch_size, lambda _, found: self.detections(found, low))

    @property
    def labels(self) -> list[str]:
        """The names of what it detects, by number."""
        return label_names(self.model)

    def detections(
        self, found: dict[str, Tensor], threshold: float | None = None
    ) -> list[Detection]:
        """The detections above the threshold of what one picture's queries gave."""
        names, low = self.labels, self.threshold if threshold is None else threshold
        rows = zip(*(found[key].tolist() for key in ("scores", "labels", "boxes")), strict=True)
        listed = [Detection(names[i], s, tuple(box), i) for s, i, box in rows if s > low]
        return sorted(listed, key=lambda each: -each.score)

    def compute(self, prepared: Sequence[Image]) -> Sequence[dict[str, Tensor]]:
        """Scores, labels and boxes of all queries of each picture."""
        batch = self.processor(list(prepared))
        found = self.model(**inputs_of(self.model, {name: batch[name] for name in batch}))
        return self.processor.post_process_object_detection(
            found, threshold=0.0, target_sizes=batch.original_sizes
        )


class Segmenter(ImageTask[Tensor]):
    """A semantic segmenter: `segmenter(images)` gives each picture's classes, (height, width)."""

    task = "image-segmentation"
    batch_size = 2

    def __call__(self, images: Any, *, batch_size: int | None = None) -> Any:
        """The number of each pixel's class, i64 of the picture's size; of one picture its own.

        Raises:
            BatchError: some pictures failed; the others' maps are kept in it.
        """
        return self.each(images, batch_size)

    @property
    def labels(self) -> list[str]:
        """The names of the classes, by number."""
        return label_names(self.model)

    def compute(self, prepared: Sequence[Image]) -> Sequence[Tensor]:
        """The class of each pixel of each picture."""
        from tallow.vision.postprocess import detr_semantic_segmentation, semantic_segmentation

        batch = self.processor(list(prepared))
        found = self.model(**inputs_of(self.model, {name: batch[name] for name in batch}))
        masks, sizes = found.get("pred_masks"), batch.original_sizes
        if masks is not None:
            return detr_semantic_segmentation(found.logits, masks, target_sizes=sizes)
        return semantic_segmentation(found.logits, target_sizes=sizes)


class ZeroShotImageClassifier(ImageTask[Tensor]):
    """Pictures against texts of the caller's choice, by CLIP, SigLIP and their relatives."""

    task = "zero-shot-image-classification"
    takes = ("input_ids", "pixel_values")
    _texts: Mapping[str, Tensor] = MappingProxyType({})

    def __call__(
        self,
        images: Any,
        candidate_labels: Sequence[str],
        *,
        hypothesis_template: str = "This is a photo of {}.",
        batch_size: int | None = None,
    ) -> Any:
        """The labels of each picture with their scores, the best first; of one picture its own.

        Scores are softmax over the labels, or sigmoid of each where it was trained so (SigLIP).

        Raises:
            ArgumentError: no label, or a template without {}.
            BatchError: some pictures failed; the others' labels are kept in it.
        """
        scores = self.scorer(candidate_labels, hypothesis_template)
        return self.each(images, batch_size, lambda _, logits: scores(logits))

    def scorer(
        self, candidate_labels: Sequence[str], template: Any = "This is a photo of {}."
    ) -> Callable[[Tensor], list[Label]]:
        """Take labels for the pictures to come; gives what turns their logits into labels."""
        where, wanted = "candidate_labels", "a list of texts"
        several = not self.is_one(candidate_labels)
        expect(several, where, wanted, type(candidate_labels).__name__, ArgumentError)
        labels = [as_text(label, where) for label in candidate_labels]
        expect(bool(labels), where, "at least one", "none", ArgumentError)
        good = isinstance(template, str) and "{}" in template
        expect(good, "hypothesis_template", "a text with {}", template, ArgumentError)
        self._texts = texts_for(self.model, [template.replace("{}", label) for label in labels])
        sigmoids = scores_alone(self.model)

        def scores(logits: Tensor) -> list[Label]:
            found = sigmoid(logits) if sigmoids else softmax(logits, -1)
            return best(found.tolist(), labels, None)

        return scores

    def check(self) -> None:
        """Raise what would make every picture fail."""
        super().check()
        wanted = "labels, given to a call or to scorer"
        expect(bool(self._texts), "ZeroShotImageClassifier", wanted, "none", ArgumentError)

    def compute(self, prepared: Sequence[Image]) -> Sequence[Tensor]:
        """The logits of each picture for the texts, `(texts,)`."""
        logits = self.model(**self._texts, **self.batch(prepared)).logits_per_image
        return list(logits.unbind(0))
