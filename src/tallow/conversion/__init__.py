"""Weights from one file format to another, and how two sets of them differ."""

from tallow.conversion.content import Content, Entry
from tallow.conversion.gaps import Difference, Gap, compare

__all__ = ["Content", "Difference", "Entry", "Gap", "compare"]
