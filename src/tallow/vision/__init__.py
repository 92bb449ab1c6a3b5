"""Pictures for models: reading, preparing, what models say of them, drawing it.

Nothing heavy is imported here: Pillow and numpy are loaded by the functions that use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.vision import draw, postprocess
    from tallow.vision.images import load_image
    from tallow.vision.processor import Batch, ImageProcessor

__all__ = ["load_image", "ImageProcessor", "Batch", "postprocess", "draw"]

_HOMES = {
    "load_image": "images",
    "ImageProcessor": "processor",
    "Batch": "processor",
    "postprocess": "postprocess",
    "draw": "draw",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
