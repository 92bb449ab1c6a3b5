"""Rotary position embedding (arXiv 2104.09864): the frequencies, and the table of one pass."""

from __future__ import annotations

import math

from tallow.dtype import f32
from tallow.factories import tensor
from tallow.models.config import DecoderConfig, RopeScaling
from tallow.ops import rope_table
from tallow.tensor import Tensor


class Rope:
    """Cosines and sines for positions; one object serves all layers.

    `factors` divide the frequencies one by one (`rope_freqs.weight` of GGUF files), before the
    scaling of the config is applied.
    """

    def __init__(self, cfg: DecoderConfig, factors: list[float] | None = None) -> None:
        size = cfg.head_dim
        plain = [cfg.rope_theta ** (-2 * i / size) for i in range(size // 2)]
        scaling = cfg.rope_scaling
        self.scale = 1.0
        if factors is not None:
            plain = [f / factor for f, factor in zip(plain, factors, strict=True)]
        if scaling is not None:
            plain = _SCALINGS[scaling.kind](plain, scaling, cfg)
            self.scale = scaling.attention_factor or 1.0
        self.freqs = tensor(plain, dtype=f32)

    def table(self, positions: Tensor) -> Tensor:
        """`(batch, length)` of integers → `(batch, length, head_dim)`: cosines, then sines."""
        return rope_table(positions, self.freqs, self.scale)


def _linear(freqs: list[float], scaling: RopeScaling, _: DecoderConfig) -> list[float]:
    return [f / scaling.factor for f in freqs]


def _llama3(freqs: list[float], scaling: RopeScaling, _: DecoderConfig) -> list[float]:
    """Long waves are stretched, short ones kept, those between blended by turns per context."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    scaled = []
    for f in freqs:
        turns = scaling.original_context * f / (2 * math.pi)
        keep = min(max((turns - low) / (high - low), 0.0), 1.0)
        scaled.append(f * (keep + (1 - keep) / scaling.factor))
    return scaled


def _yarn(freqs: list[float], scaling: RopeScaling, cfg: DecoderConfig) -> list[float]:
    """A ramp over the index of the frequency, from kept (fast ones) to stretched (slow ones)."""

    def index(turns: float) -> float:
        wave = scaling.original_context / (2 * math.pi * turns)
        return cfg.head_dim * math.log(wave) / (2 * math.log(cfg.rope_theta))

    first, last = index(scaling.beta_fast), index(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, cfg.head_dim - 1)
    width = last - first or 0.001
    scaled = []
    for i, f in enumerate(freqs):
        stretch = min(max((i - first) / width, 0.0), 1.0)
        scaled.append(f * (1 - stretch + stretch / scaling.factor))
    return scaled


_SCALINGS = {"linear": _linear, "llama3": _llama3, "longrope": _linear, "yarn": _yarn}
