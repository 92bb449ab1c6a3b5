"""Sentence pairs in place of torchtext.datasets."""

from . import multi30k
from .multi30k import Multi30k

__all__ = ["Multi30k", "multi30k"]
