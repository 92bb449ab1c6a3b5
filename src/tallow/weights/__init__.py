"""Weights by name from any file or folder, and filling a model with them."""

from tallow.weights.fill import load
from tallow.weights.open import open_weights
from tallow.weights.source import Names, WeightSource

__all__ = ["Names", "WeightSource", "load", "open_weights"]
