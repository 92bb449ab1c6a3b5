"""Norms of decoders that are no plain RMS or layer norm."""

from __future__ import annotations

from tallow.nn import LayerNorm, Module, ModuleList, RMSNorm, param
from tallow.nn import functional as F
from tallow.nn.init import ones, zeros
from tallow.ops import rms_norm, stack
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


class OffsetLayerNorm(Module):
    """Layer norm times `1 + weight`, plus `bias` (Nemotron)."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=zeros)
        self.bias = param(size, init=zeros)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return F.layer_norm(x, self.weight.shape, self.weight + 1.0, self.bias, self.eps)


class HeadsNorm(Module):
    """Layer norm of each head, times a weight of its own (Command R)."""

    def __init__(self, heads: int, size: int, eps: float) -> None:
        self.weight = param(heads, size, init=ones, kinds="f")
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, heads, size)` → the same shape."""
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * self.weight


class ListedNorm(Module):
    """Layer norm of each head by a module of its own, without bias (StableLM)."""

    def __init__(self, heads: int, size: int, eps: float) -> None:
        self.norms = ModuleList([LayerNorm(size, eps, bias=False) for _ in range(heads)])
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, heads, size)` → the same shape."""
        weights = stack([norm.weight for norm in self.norms])
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * weights
