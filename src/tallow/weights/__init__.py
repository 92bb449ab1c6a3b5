"""Weights by name from any file, folder, URL or memory, and filling a model with them."""

from tallow.weights.fill import load
from tallow.weights.names import Names
from tallow.weights.open import open_weights
from tallow.weights.source import WeightSource

__all__ = ["Names", "WeightSource", "load", "open_weights"]
