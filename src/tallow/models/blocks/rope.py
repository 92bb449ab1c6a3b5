"""Rotary position embedding (arXiv 2104.09864): the frequencies, and the table of one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallow.dtype import f32
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass
from tallow.ops import rope_table
from tallow.tensor import Tensor


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    `kind` is one of linear, llama3 (Llama 3.1's bands), yarn (arXiv 2309.00071) and longrope
    (factors in the file, other ones beyond the original context; GGUF only); the others are that
    kind's parameters, as Hugging Face names them. `attention_factor` multiplies cosines and
    sines; 0 stands for 1.
    """

    kind: str
    factor: float
    original_context: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 0.0
    truncate: bool = True


class Rope:
    """Cosines and sines for positions; one object serves all layers.

    `factors` divide the frequencies one by one (`rope_freqs.weight` of GGUF files), before the
    scaling is applied. Rotated pairs are half a head apart, or neighbours when `interleaved`.
    """

    def __init__(
        self,
        head_dim: int,
        theta: float = 10000.0,
        scaling: RopeScaling | None = None,
        *,
        factors: Sequence[float] = (),
        interleaved: bool = False,
    ) -> None:
        plain = [theta ** (-2 * i / head_dim) for i in range(head_dim // 2)]
        self.scale = 1.0
        self.interleaved = interleaved
        if factors:
            plain = [f / factor for f, factor in zip(plain, factors, strict=True)]
        if scaling is not None:
            if scaling.kind == "yarn":
                plain = _yarn(plain, scaling, head_dim, theta)
            else:
                plain = _SCALINGS[scaling.kind](plain, scaling)
            self.scale = scaling.attention_factor or 1.0
        self.freqs = tensor(plain, dtype=f32, device="cpu")

    def table(self, positions: Tensor) -> Tensor:
        """`(batch, length)` of integers → `(batch, length, head_dim)`: cosines, then sines."""
        return rope_table(positions, self.freqs.to(positions.device), self.scale)


def _linear(freqs: list[float], scaling: RopeScaling) -> list[float]:
    return [f / scaling.factor for f in freqs]


def _llama3(freqs: list[float], scaling: RopeScaling) -> list[float]:
    """Long waves are stretched, short ones kept, those between blended by turns per context."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    scaled = []
    for f in freqs:
        turns = scaling.original_context * f / (2 * math.pi)
        keep = min(max((turns - low) / (high - low), 0.0), 1.0)
        scaled.append(f * (keep + (1 - keep) / scaling.factor))
    return scaled


def _yarn(freqs: list[float], scaling: RopeScaling, size: int, theta: float) -> list[float]:
    """A ramp over the index of the frequency, from kept (fast ones) to stretched (slow ones)."""

    def index(turns: float) -> float:
        wave = scaling.original_context / (2 * math.pi * turns)
        return size * math.log(wave) / (2 * math.log(theta))

    first, last = index(scaling.beta_fast), index(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    width = last - first or 0.001
    scaled = []
    for i, f in enumerate(freqs):
        stretch = min(max((i - first) / width, 0.0), 1.0)
        scaled.append(f * (1 - stretch + stretch / scaling.factor))
    return scaled


_SCALINGS = {"linear": _linear, "llama3": _llama3, "longrope": _linear}
