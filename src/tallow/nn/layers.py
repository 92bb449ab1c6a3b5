"""Layers with parameters: Linear, Embedding, RMSNorm, LayerNorm."""

from __future__ import annotations

from tallow.dtype import f32
from tallow.nn.init import normal, ones, uniform, zeros
from tallow.nn.module import Module, param
from tallow.ops import embedding, layer_norm, linear, rms_norm
from tallow.tensor import Tensor


class Linear(Module):
    """`x @ weight.T + bias`; the weight may be loaded in any float or block-quantised dtype.

    `exact` asks for float activations where the weight is block-quantised; otherwise they are
    rounded to 8-bit blocks, which is faster.
    """

    exact: bool = False

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        bound = in_features**-0.5 if in_features else 0.0
        self.weight = param(out_features, in_features, init=uniform(bound))
        self.bias = param(out_features, init=uniform(bound), dtype=f32) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """`(..., in_features)` → `(..., out_features)`."""
        return linear(x, self.weight, self.bias, exact=self.exact)

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        out_features, in_features = self._declared["weight"].shape
        bias = "bias" in self._declared
        return f"in_features={in_features}, out_features={out_features}, bias={bias}"


class Embedding(Module):
    """Rows of a table by index; a block-quantised table is unpacked row by row."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        self.weight = param(num_embeddings, embedding_dim, init=normal(1.0))

    def forward(self, ids: Tensor) -> Tensor:
        """`(...)` of integers → `(..., embedding_dim)`."""
        return embedding(ids, self.weight)

    def extra_repr(self) -> str:
        """Number and length of the rows."""
        return "{}, {}".format(*self._declared["weight"].shape)


class RMSNorm(Module):
    """Scale the last axis to unit root-mean-square, then by `weight` (arXiv 1910.07467)."""

    def __init__(self, size: int, eps: float = 1e-6) -> None:
        self.eps = eps
        self.weight = param(size, init=ones, dtype=f32)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Size and eps."""
        return f"{self._declared['weight'].shape[0]}, eps={self.eps}"


class LayerNorm(Module):
    """Shift and scale the last axis to mean 0 and variance 1, then by `weight` and `bias`."""

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        self.eps = eps
        self.weight = param(size, init=ones, dtype=f32)
        self.bias = param(size, init=zeros, dtype=f32)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return layer_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Size and eps."""
        return f"{self._declared['weight'].shape[0]}, eps={self.eps}"
