"""Rotary position embedding (arXiv 2104.09864): the frequencies, and the table of one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallow.dtype import f32, i64
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass
from tallow.ops import cat, rope_table, where
from tallow.tensor import Tensor


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    `kind` is one of linear, dynamic (a base that grows with the text), llama3 (Llama 3.1's bands),
    yarn (arXiv 2309.00071), longrope (arXiv 2402.13753: `short_factors` divide the frequencies, and
    `long_factors` beyond the original context; without these, `Rope.factors` do) and proportional
    (a share of the frequencies is 0); the others are that kind's parameters, as Hugging Face names
    them. `attention_factor` multiplies cosines and sines; 0 stands for 1.
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
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    turning: float = 1.0  # proportional: the share of the frequencies that is not 0


class Rope:
    """Cosines and sines for positions; layers that rotate alike share one.

    `size` is how many elements of a head are rotated, its first ones. `factors` divide the
    frequencies one by one (`rope_freqs.weight` of GGUF files), before the scaling is applied.
    Rotated pairs are half of `size` apart, or neighbours when `interleaved`. `axes` says for each
    frequency which of several positions turns it (M-RoPE, arXiv 2409.12191).
    """

    def __init__(
        self,
        size: int,
        theta: float = 10000.0,
        scaling: RopeScaling | None = None,
        *,
        factors: Sequence[float] = (),
        interleaved: bool = False,
        axes: Sequence[int] = (),
    ) -> None:
        plain = [theta ** (-2 * i / size) for i in range(size // 2)]
        self.size, self.theta, self.scaling = size, theta, scaling
        self.scale = 1.0
        self.interleaved = interleaved
        self.axes = tensor(list(axes), dtype=i64, device="cpu") if axes else None
        self.long_freqs: Tensor | None = None
        if factors:
            plain = [f / factor for f, factor in zip(plain, factors, strict=True)]
        if scaling is not None:
            self.scale = scaling.attention_factor or 1.0
            if scaling.long_factors:
                self.long_freqs = _freqs(_divided(plain, scaling.long_factors))
                plain = _divided(plain, scaling.short_factors)
            elif scaling.kind == "yarn":
                plain = _yarn(plain, scaling, size, theta)
            else:
                plain = _SCALINGS[scaling.kind](plain, scaling)
        self.freqs = _freqs(plain)

    def table(self, positions: Tensor) -> Tensor:
        """`(batch, length)` of integers → `(batch, length, size)`: cosines, then sines.

        With `axes` positions may be `(3, batch, length)`: of time, height and width.
        """
        freqs = self.freqs.to(positions.device)
        if self.axes is not None and positions.ndim == 3:
            chosen = positions.index_select(0, self.axes.to(positions.device)).permute(1, 2, 0)
            return self._turned(chosen.to(f32) * freqs)
        if self.long_freqs is not None or (self.scaling and self.scaling.kind == "dynamic"):
            return self._turned(positions.to(f32).unsqueeze(-1) * self._current(positions, freqs))
        return rope_table(positions, freqs, self.scale)

    def _turned(self, angles: Tensor) -> Tensor:
        return cat([angles.cos() * self.scale, angles.sin() * self.scale], -1)

    def _current(self, positions: Tensor, freqs: Tensor) -> Tensor:
        """The frequencies that count for a text as long as each row is by now, `(batch, 1, r)`."""
        scaling = self.scaling
        assert scaling is not None, "asked for only where there is one"
        count = (positions.amax(-1, keepdim=True) + 1).unsqueeze(-1)
        if self.long_freqs is not None:
            longer = count.gt(scaling.original_context)
            return where(longer, self.long_freqs.to(positions.device), freqs)
        # The base grows so that the slowest wave is stretched by the factor, the fastest not.
        grown = count.clamp(min=scaling.original_context).to(f32) / scaling.original_context
        base = grown * scaling.factor - (scaling.factor - 1)
        exponents = [-2 * i / (self.size - 2) for i in range(self.size // 2)]
        return freqs * (base.log() * _freqs(exponents).to(positions.device)).exp()


def _freqs(values: list[float]) -> Tensor:
    return tensor(values, dtype=f32, device="cpu")


def _divided(freqs: list[float], factors: Sequence[float]) -> list[float]:
    return [f / factor for f, factor in zip(freqs, factors, strict=True)]


def _linear(freqs: list[float], scaling: RopeScaling) -> list[float]:
    return [f / scaling.factor for f in freqs]


def _dynamic(freqs: list[float], scaling: RopeScaling) -> list[float]:
    return freqs  # what each pass makes its own of


def _proportional(freqs: list[float], scaling: RopeScaling) -> list[float]:
    count = int(scaling.turning * len(freqs))
    return [f / scaling.factor if i < count else 0.0 for i, f in enumerate(freqs)]


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


_SCALINGS = {
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _linear,
    "proportional": _proportional,
}
