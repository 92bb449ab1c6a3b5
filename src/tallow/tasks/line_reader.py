"""LineReader: the text of pictures of lines, by TrOCR and other encoder-decoders of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.tasks.image_tasks import ImageTask

if TYPE_CHECKING:
    from PIL.Image import Image


class LineReader(ImageTask[str]):
    """A reader of lines: `reader(images)` gives the text of each.

    `max_new_tokens` ends lines that do not end by themselves; the configs of published TrOCR models
    say 20, which cuts lines.
    """

    task = "image-to-text"

    def __init__(
        self, *args: Any, max_new_tokens: int = 128, num_beams: int | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.max_new_tokens = max_new_tokens
        self.num_beams = num_beams

    def __call__(self, images: Any, *, batch_size: int | None = None) -> Any:
        """The text of each picture; of a single picture a string.

        Raises:
            BatchError: some pictures failed; the others' texts are kept in it.
        """
        return self.each(images, batch_size)

    def check(self) -> None:
        """Raise what would make every picture fail."""
        super().check()
        _ = self.tokenizer

    def compute(self, prepared: Sequence[Image]) -> Sequence[str]:
        """The texts of pictures of lines."""
        pixels = self.processor(list(prepared)).pixel_values
        options: dict[str, Any] = {"max_new_tokens": self.max_new_tokens}
        if self.num_beams is not None:
            options["num_beams"] = self.num_beams
        model: Any = self.model
        rows = model.generate(pixels, **options)
        listed = rows.tolist() if hasattr(rows, "tolist") else rows
        return [self.tokenizer.decode(ids).strip() for ids in listed]
