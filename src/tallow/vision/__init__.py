"""Pictures for models: reading, preparing, what models say of them, drawing it.

Nothing heavy is imported here: Pillow and numpy are loaded by the functions that use them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallow.vision import draw, postprocess
    from tallow.vision.images import load_image
    from tallow.vision.processor import Batch, ImageProcessor

__all__ = ["load_image", "ImageProcessor", "Batch", "postprocess", "draw"]

_HOMES = {"load_image": "images", "ImageProcessor": "processor", "Batch": "processor"}


def __getattr__(name: str) -> Any:
    if name in ("postprocess", "draw"):
        return importlib.import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
