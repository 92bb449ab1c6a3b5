"""Readers by name: sets of PP-OCR models, TrOCR, and any folder or reference of such a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.documents.ocr.models import MODEL_SETS
from tallow.errors import ArgumentError

if TYPE_CHECKING:
    from tallow.documents.ocr.engine import OCR

TROCR = {
    f"trocr-{size}-{kind}": f"hf:microsoft/trocr-{size}-{kind}"
    for size in ("small", "base", "large")
    for kind in ("printed", "handwritten", "stage1")
    if (size, kind) != ("small", "stage1")
}
"""Published TrOCR models; those of "handwritten" read one line of handwriting."""


def reader_named(name: str | None = None, language: str | None = None) -> OCR:
    """The reader of a name: "small", "tiny", "v5", "trocr-base-printed", a folder, `hf:…`.

    Raises:
        ArgumentError: there is no such reader, or it cannot read the language.
        HubError: a reference cannot be resolved.
    """
    import os

    from tallow.documents.ocr.engine import OCR
    from tallow.documents.ocr.trocr import TrOCR

    if name is None or name in MODEL_SETS or any(name == each.ref for each in MODEL_SETS.values()):
        return OCR(name or "small", language=language)
    if name in TROCR or ":" in name or os.path.isdir(name):
        return TrOCR(TROCR.get(name, name), language=language)
    known = ", ".join([*MODEL_SETS, *TROCR])
    raise ArgumentError(
        f"--ocr: expected {known}, a Hugging Face folder or an hf: reference, got {name!r}"
    )
