"""Weights by name from any file, folder, URL or memory, and filling a model with them."""

from typing import Any

from tallow.weights.filling import fill
from tallow.weights.name_map import NameMap
from tallow.weights.open import open_weights
from tallow.weights.source import WeightSource

__all__ = ["NameMap", "WeightSource", "fill", "open_weights"]
_OLDER = {"load": "fill", "Names": "NameMap"}


def __getattr__(name: str) -> Any:
    """What an older name now stands for."""
    if name not in _OLDER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tallow.errors import deprecated

    deprecated(f"tallow.weights.{name} is now called {_OLDER[name]}")
    return globals()[_OLDER[name]]
