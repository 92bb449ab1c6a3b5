"""Norms of decoders that are no plain RMS or layer norm."""

from __future__ import annotations

from tallow.nn import Module, RMSNorm, param
from tallow.nn.init import zeros
from tallow.ops import rms_norm
from tallow.tensor import Tensor


class OffsetNorm(Module):
    """RMS norm times `1 + weight` (Gemma)."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=zeros)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return rms_norm(x, self.weight + 1.0, self.eps)


class WholeNorm(RMSNorm):
    """RMS norm over all heads together, for queries or keys (OLMo 2)."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, heads, head size)` → the same shape."""
        return super().forward(x.flatten(2)).view(x.shape)
