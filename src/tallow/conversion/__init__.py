"""Weights from one file format to another, and how two sets of them differ."""

from tallow.conversion.content import Content, Entry
from tallow.conversion.gaps import Difference, Gap, compare
from tallow.packages import modules_of

__all__ = ["Content", "Difference", "Entry", "Gap", "compare"]

__getattr__, __dir__ = modules_of(__name__, __path__)
