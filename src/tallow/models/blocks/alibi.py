"""Attention with linear biases: by how much scores fall with distance (arXiv 2108.12409)."""

from __future__ import annotations

import math


def alibi_slopes(heads: int, largest: float = 8.0) -> list[float]:
    """One slope a head: powers of `2 ** (-largest / heads)` for a power of two of heads.

    For other numbers, those of the power of two below, then every second one of that above.
    """
    below = 2 ** math.floor(math.log2(heads))
    found = [2.0 ** (-largest * (i + 1) / below) for i in range(below)]
    between = [2.0 ** (-largest * (2 * i + 1) / (2 * below)) for i in range(heads - below)]
    return found + between
